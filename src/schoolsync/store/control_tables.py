"""The tables of what is done with directories: tenants, profiles, runs, uploads, who may do what (`store.columns`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, UniqueConstraint, text

from schoolsync.store.columns import Text, act, schema, table

control = MetaData()

control_schema = schema(control)

installation = Table(
    "installation",
    control,
    Column("only", Integer, primary_key=True, autoincrement=False),  # 1: there is one
    Column("id", Text, nullable=False),  # GUID; the files of the same installation carry it, too
)

tenants = Table(
    "tenants",
    control,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),  # lower-case GUID, the token's `tid`
    Column("created", BigInteger, nullable=False),
)

profiles = table(
    control,
    "profiles",
    Column("tenant", Integer),
    Column("id", Text, nullable=False),  # lower-case GUID
    Column("number", Integer, nullable=False),  # small stand-in for `id` in the directory's rows; never reused
    Column("display_name", Text, nullable=False),
    Column("data_provider", Text, nullable=False),  # JSON in Graph's shape, without secrets
    Column("identity", Text, nullable=False),  # JSON, identitySynchronizationConfiguration
    Column("licenses", Text, nullable=False, server_default="[]"),  # JSON, licensesToAssign
    Column("expiration_date", Text),  # YYYY-MM-DD
    Column("special_characters", Boolean),  # handleSpecialCharacterConstraint
    Column("policy", Text, nullable=False, server_default="{}"),  # JSON, schoolsync's own settings of a profile
    Column("key_space", Text, nullable=False, server_default="default"),
    Column("state", Text, nullable=False),  # educationSynchronizationProfileState
    Column("version", Integer, nullable=False, server_default="1"),  # ETag
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("due", BigInteger),  # when the worker starts a run by itself (retry, deferred start); null = never
    Column("scheduled", BigInteger),  # when the schedule of `policy` comes next; null = it has no rhythm
    Column("on_upload", Integer),  # start by itself when an upload was left alone for so many seconds; null = not
    Column("forgiven", BigInteger),  # runs that ended before do not count towards quarantine
    Column("watched", Text),  # fingerprint of the files last taken from the watched folder
    UniqueConstraint("tenant", "number"),
    key=("tenant", "id"),
)

profiles_named = Index("profiles_named", profiles.c.tenant, profiles.c.display_name, profiles.c.id)  # lists go by name
for _when in (profiles.c.due, profiles.c.scheduled, profiles.c.on_upload):
    # The worker asks over and over which profiles have something to begin; few have.
    Index(f"profiles_{_when.name}", _when, sqlite_where=_when.is_not(None))
# And which are new, are to go, or have come to their last day: as few, and asked after every commit.
profiles_state = Index("profiles_state", profiles.c.state, profiles.c.expiration_date)

secrets = table(
    control,
    "secrets",  # written by a request, read only by the source that needs them, never by a face
    Column("tenant", Integer),
    Column("profile", Text),
    Column("name", Text),  # path inside the profile, e.g. dataProvider/connectionSettings/clientSecret
    Column("value", Text, nullable=False),
    key=("tenant", "profile", "name"),
)

profile_status = table(
    control,
    "profile_status",
    Column("tenant", Integer),
    Column("profile", Text),
    # What GET profileStatus shows: our own last word, or what a caller has reported since.
    Column("status", Text),
    Column("status_message", Text),
    Column("error_count", BigInteger, server_default="0"),  # null only when a caller has said so
    Column("last_synchronization", BigInteger),
    Column("last_activity", BigInteger),
    Column("own_status", Text),  # the state of our own runs, whatever callers report
    Column("version", Integer, nullable=False, server_default="1"),  # ETag
    key=("tenant", "profile"),
)

runs = table(
    control,
    "runs",
    Column("tenant", Integer),
    Column("profile", Text),
    Column("id", Text),  # GUID
    Column("number", Integer, nullable=False),  # 1, 2, 3 … within the profile
    Column("state", Text, nullable=False),  # runs.states.RunState
    Column("stage", Text),  # last stage begun: extracting, validating, planning, applying, finishing
    Column("stages", Text, nullable=False, server_default="[]"),  # JSON list of [stage, ticks when it began], in order
    Column("worker", Text),  # workers.id that has taken it up
    Column("attempt", Integer, nullable=False, server_default="0"),  # workflow executions so far
    Column("fence", Integer, nullable=False, server_default="0"),  # who may write: the highest fence wins
    Column("wish", Text),  # pause | cancel: what a person asked of a run at work
    Column("cause", Text, nullable=False),  # start | reset | retry | due
    Column("upload", Text),  # uploads.id that this run reads
    Column(
        "ignore_findings", Boolean, nullable=False, server_default=text("false")
    ),  # resume said: leave out and go on
    Column("held_for", Text),  # findings | fatal | guard | window: why state is held
    Column("released", Text),  # JSON, runs.approvals.Release: what a person has let go on of which plan
    Column("limits", Text),  # JSON, guard settings for this run's plan alone
    Column("undoes", Text),  # the run that this one takes back
    Column("only", Text),  # JSON: the person, class, school or kind that is synchronized alone, and from whose roster
    Column("cleans", Text),  # JSON: what is done to the classes of a profile that has expired
    Column("expects", Text),  # hash of the plan that somebody has looked at: no other may be applied
    Column("verification", Text),  # JSON list of verification messages; null until checked
    Column("message", Text),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),  # that are applied
    Column("rows_total", BigInteger),  # of the plan
    Column("stage_done", BigInteger),  # rows that a stage before the applying has gone over ...
    Column("stage_total", BigInteger),  # ... and those it goes over in all
    Column("error_count", BigInteger, nullable=False, server_default="0"),
    Column("summary", Text),  # JSON: counts of the roster, of the plan, guard verdicts
    Column("input_hash", Text),  # what an unchanged upload is recognised by
    Column("snapshot", Text),  # object key prefix of the applied snapshot
    Column("position", BigInteger),  # the directory's position when this run ended
    Column("asked", BigInteger, nullable=False),
    Column("asked_by", Text),
    Column("began", BigInteger),
    Column("ended", BigInteger),
    key=("tenant", "profile", "id"),
)
Index(
    "runs_open",  # at most one run of a profile is neither done nor discarded
    runs.c.tenant,
    runs.c.profile,
    unique=True,
    sqlite_where=runs.c.ended.is_(None),
)
Index("runs_queue", runs.c.state, runs.c.asked)
# How each of many profiles is: their runs are counted, and the last good one found, without a look at the runs.
runs_ended = Index("runs_ended", runs.c.tenant, runs.c.profile, runs.c.state, runs.c.ended, runs.c.number)
Index("runs_begun", runs.c.tenant, runs.c.began)  # whose turn it is: who was served longest ago

profile_conditions = table(
    control,
    "profile_conditions",  # what notices have last told of a profile
    Column("tenant", Integer),
    Column("profile", Text),
    Column("condition", Text, nullable=False),  # notices.conditions.Condition
    Column("since", BigInteger, nullable=False),
    key=("tenant", "profile"),
)

notices = table(
    control,
    "notices",  # what is to be told, and for a while what was
    Column("tenant", Integer),
    Column("id", Text),  # GUID; the same at every try
    Column("profile", Text, nullable=False),
    Column("channel", Text, nullable=False),  # notices.notice.Channel
    Column("body", Text, nullable=False),  # JSON
    Column("made", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),  # when it is tried, or taken over from a sender that is gone
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("over", BigInteger),  # when it arrived or was given up; null: it waits
    Column("sent", Boolean),
    Column("problem", Text),  # why the last try failed
    key=("tenant", "id"),
)
Index("notices_due", notices.c.due, sqlite_where=notices.c.over.is_(None))
notices_waiting = Index(
    "notices_waiting",
    notices.c.tenant,
    notices.c.profile,
    notices.c.channel,
    notices.c.made,
    sqlite_where=notices.c.over.is_(None),
)

notice_receivers = table(
    control,
    "notice_receivers",  # where a tenant has its own notices sent; the webhook's secret is among the secrets
    Column("tenant", Integer),
    Column("webhook_url", Text),
    Column("mail_to", Text, nullable=False),  # JSON list
    Column("events", Text, nullable=False),  # JSON list of what is told, notices.conditions.EVENTS
    Column("stale_hours", Integer),  # null: the installation's
    Column("version", Integer, nullable=False, server_default="1"),  # ETag
    key=("tenant",),
)

workers = Table(
    "workers",
    control,
    Column("id", Text, primary_key=True),  # host, process and something random
    Column("beat", BigInteger, nullable=False),  # counted up every few seconds while the worker lives
    Column("began", BigInteger, nullable=False),
)

previews = table(
    control,
    "previews",  # dry runs; a preview's own uploads, run and errors have its id where others have their profile's
    Column("tenant", Integer),
    Column("id", Text),
    Column("profile", Text, nullable=False),  # whose settings and objects it is planned against
    Column("created", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "id"),
)
Index("previews_of", previews.c.tenant, previews.c.profile)

approvals = table(
    control,
    "approvals",  # who let which plan go on; rows are never changed and go with their profile
    Column("tenant", Integer),
    Column("profile", Text),
    Column("id", Text),
    Column("run", Text, nullable=False),
    Column("plan", Text, nullable=False),  # the plan's hash
    Column("kind", Text),  # only this kind; null: all
    Column("school", Text),  # only this school (SIS ID); null: all
    Column("objects", Text, nullable=False, server_default="[]"),  # JSON list of object ids; empty: all
    Column("person", Text, nullable=False),  # principal.audit_name
    Column("via", Text, nullable=False),  # approve | resume | discard: a no to this part | limits: set for the plan
    Column("why", Text),
    Column("given", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "profile", "id"),
)

rekeys = table(
    control,
    "rekeys",  # SIS IDs that have changed; the pairs themselves are in a Parquet file
    Column("tenant", Integer),
    Column("profile", Text),
    Column("number", Integer),
    Column("object", Text, nullable=False),  # path of the file
    Column("pairs", BigInteger, nullable=False),
    Column("person", Text, nullable=False),
    Column("why", Text),
    Column("given", BigInteger, nullable=False),
    key=("tenant", "profile", "number"),
)

errors = table(
    control,
    "errors",
    Column("tenant", Integer),
    Column("profile", Text),
    Column("id", Text),
    Column("run", Text),  # null: written by a caller
    Column("entry_type", Text),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("joining_value", Text),
    Column("reportable_identifier", Text),
    Column("recorded", BigInteger),
    Column("version", Integer, nullable=False, server_default="1"),
    key=("tenant", "profile", "id"),
)

uploads = table(
    control,
    "uploads",
    Column("tenant", Integer),
    Column("profile", Text),
    Column("id", Text),
    Column("state", Text, nullable=False),  # open (the inbox, one per profile) | sealed | gone
    Column("opened", BigInteger, nullable=False),
    Column("sealed", BigInteger),
    key=("tenant", "profile", "id"),
)
Index(
    "uploads_open",
    uploads.c.tenant,
    uploads.c.profile,
    unique=True,
    sqlite_where=uploads.c.state == "open",
)

upload_files = table(
    control,
    "upload_files",
    Column("tenant", Integer),
    Column("profile", Text),
    Column("upload", Text),
    Column("name", Text),  # as the client spelled it, folders included
    Column("object", Text, nullable=False),  # object storage key of the bytes
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("etag", Text, nullable=False),
    Column("headers", Text, nullable=False, server_default="{}"),  # JSON: content type, md5, metadata
    Column("modified", BigInteger, nullable=False),
    key=("tenant", "profile", "upload", "name"),
)

upload_blocks = table(
    control,
    "upload_blocks",
    Column("tenant", Integer),
    Column("profile", Text),
    Column("upload", Text),
    Column("name", Text),
    Column("block", Text),  # base64 block id
    Column("object", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("written", BigInteger, nullable=False),
    key=("tenant", "profile", "upload", "name", "block"),
)

clients = table(
    control,
    "clients",  # of the built-in token issuer
    Column("tenant", Integer),
    Column("id", Text),
    Column("name", Text),
    Column("secret_hash", Text, nullable=False),
    Column("roles", Text, nullable=False),  # blank-separated application roles
    Column("created", BigInteger, nullable=False),
    key=("tenant", "id"),
)

accounts = table(
    control,
    "accounts",  # of people who sign in to the built-in issuer
    Column("tenant", Integer),
    Column("id", Text),  # the person's object id in tokens
    Column("name", Text, nullable=False),  # lower case
    Column("secret_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # blank-separated
    Column("roles", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    key=("tenant", "id"),
)

sign_ins = table(
    control,
    "sign_ins",  # codes that programs have not yet fetched a token for
    Column("tenant", Integer),
    Column("code_hash", Text),
    Column("client", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("nonce", Text),
    Column("user_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "code_hash"),
)

refresh_tokens = table(
    control,
    "refresh_tokens",  # what a program gets further tokens for, as long as the person's account is there
    Column("tenant", Integer),
    Column("token_hash", Text),
    Column("family", Text, nullable=False),  # the same for all that followed one sign-in
    Column("person", Text, nullable=False),  # accounts.id
    Column("client", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # blank-separated: granted when the person signed in
    Column("began", BigInteger, nullable=False),
    Column("used", BigInteger),  # when it was exchanged for the one that follows
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "token_hash"),
)

device_codes = table(
    control,
    "device_codes",  # programs that wait until somebody vouches for a person
    Column("tenant", Integer),
    Column("code", Text),  # what the person tells
    Column("secret_hash", Text, nullable=False),  # of what the program keeps
    Column("client", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # blank-separated: asked for, then granted
    Column("roles", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),  # access.devices.State
    Column("user_id", Text),
    Column("user_name", Text),
    Column("expires", BigInteger, nullable=False),
    Column("asked", BigInteger),  # when the program asked last
    key=("tenant", "code"),
)

console_sessions = table(
    control,
    "console_sessions",  # people who are signed in to the console, and what they are called (access.remembered)
    Column("tenant", Integer),
    Column("id", Text),  # hash of what the browser's cookie holds
    Column("principal", Text, nullable=False),  # JSON, what the token of the sign-in said
    Column("began", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "id"),
)


console_links = table(
    control,
    "console_links",  # links that show one school what was found in its records
    Column("tenant", Integer),
    Column("id", Text),
    Column("profile", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("school", Text, nullable=False),  # SIS ID
    Column("made", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),  # as in runs.asked_by
    Column("expires", BigInteger, nullable=False),
    key=("tenant", "id"),
)


audit = table(
    control,
    "audit",  # never changed, never deleted
    Column("tenant", Integer),
    Column("number", BigInteger),  # 1, 2, 3 … within the tenant
    *act(),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("seal", Text, nullable=False),
    UniqueConstraint("tenant", "id"),
    key=("tenant", "number"),
)

audit_heads = table(
    control,
    "audit_heads",  # the last entry of each chain; its row is the lock of the chain
    Column("tenant", Integer),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    key=("tenant",),
)

allowances = table(
    control,
    "allowances",  # what applications may still ask, where several API processes count together
    Column("tenant", Integer),
    Column("who", Text),  # digest of the application
    Column("unspent", BigInteger, nullable=False),  # millionths of a request
    Column("at", BigInteger, nullable=False),  # when that was so, in microseconds since 1970; 0: before the first one
    key=("tenant", "who"),
)
