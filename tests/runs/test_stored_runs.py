"""Questions about stored runs: the API's side and the reader's process have the same list of them."""

from schoolsync.runs import history, readers


def test_it_is_known_of_every_question_which_files_answer_it() -> None:
    """The API fetches them before it asks: a question that one side alone knows has no answer."""
    assert readers.NEEDED.keys() == history.QUESTIONS.keys()
