"""What the pages call things that the rest of the house names with a code word."""

from __future__ import annotations

from schoolsync.console.catalogue import N_

STATUS: dict[str | None, tuple[str, str]] = {
    # status -> what it is called, how it looks
    None: (N_("Nothing synchronized yet"), "quiet"),
    "none": (N_("Nothing synchronized yet"), "quiet"),
    "success": (N_("In sync"), "good"),
    "inProgress": (N_("Synchronizing"), "busy"),
    "extracting": (N_("Reading files"), "busy"),
    "validating": (N_("Checking files"), "busy"),
    "unknownFutureValue": (N_("Working"), "busy"),
    "paused": (N_("Paused"), "quiet"),
    "validationError": (N_("Waits for you"), "bad"),
    "error": (N_("Failed"), "bad"),
    "quarantined": (N_("In quarantine"), "bad"),
}

PARTS: dict[str, str] = {
    "class": N_("all classes"),
    "student": N_("all students"),
    "teacher": N_("all teachers"),
}

STATE: dict[str, str] = {
    "provisioning": N_("being set up"),
    "provisioned": N_("ready"),
    "provisioningFailed": N_("could not be set up"),
    "deleting": N_("being deleted"),
    "deletionFailed": N_("could not be deleted"),
}

RUN_STATE: dict[str, tuple[str, str]] = {
    "queued": (N_("Waits for its turn"), "busy"),
    "extracting": (N_("Reading files"), "busy"),
    "validating": (N_("Checking files"), "busy"),
    "planning": (N_("Working out the changes"), "busy"),
    "applying": (N_("Writing changes"), "busy"),
    "paused": (N_("Paused"), "quiet"),
    "held": (N_("Waits for you"), "bad"),
    "done": (N_("Done"), "good"),
    "failed": (N_("Failed"), "bad"),
    "discarded": (N_("Thrown away"), "quiet"),
    "cancelled": (N_("Ended early"), "quiet"),
}

NOTICE: dict[str, str] = {
    "held": N_("A run waits for a person"),
    "failed": N_("A run has failed"),
    "quarantined": N_("A profile is in quarantine"),
    "stale": N_("No run has ended well for too long"),
    "recovered": N_("All is well again"),
}

CHECK: dict[str, str] = {
    # what doctor looks at
    "settings": N_("settings"),
    "data directory": N_("data directory"),
    "permissions": N_("permissions"),
    "certificate": N_("certificate"),
    "database": N_("database"),
    "storage": N_("storage"),
    "secrets": N_("secrets"),
    "issuers": N_("issuers"),
}

NOTICE_STATE: dict[str, str] = {"sent": N_("arrived"), "waiting": N_("on its way"), "given up": N_("given up")}

CHANNEL: dict[str, str] = {"webhook": N_("Webhook"), "mail": N_("Mail")}

CAUSE: dict[str, str] = {
    "start": N_("started"),
    "late": N_("started"),
    "reset": N_("started all over"),
    "retry": N_("tried again by itself"),
    "again": N_("tried again"),
    "due": N_("its time had come"),
    "schedule": N_("on schedule"),
    "upload": N_("files were uploaded"),
    "watch": N_("files lay in the watched folder"),
    "preview": N_("preview"),
    "undo": N_("takes a run back"),
    "cleanUp": N_("classes are cleaned up"),
    "one": N_("one person, class, school or kind alone"),
    "replan": N_("planned again"),
    "provisioned": N_("the profile was set up"),
}

SEEN: dict[str, str] = {
    "schools": N_("Schools"),
    "classes": N_("Classes"),
    "people": N_("People"),
    "links": N_("Memberships"),
    "school_links": N_("Places at schools"),
    "guardians": N_("Guardians"),
}
GUARD: dict[str, str] = {
    "emptied": N_("emptied"),
    "renumbered": N_("new ids"),
    "removals": N_("removals"),
    "school-gone": N_("school gone"),
    "class-halved": N_("class shrinks"),
    "leavers": N_("people leave"),
    "window": N_("closed days"),
    "bins": N_("into the bin"),
    "purges": N_("gone for good"),
    "updates": N_("many changes"),
    "adoptions": N_("accounts made by hand"),
    "other-person": N_("somebody else"),
    "clean-up": N_("clean-up"),
}

KIND: dict[str, str] = {
    "school": N_("Schools"),
    "section": N_("Classes"),
    "student": N_("Students"),
    "teacher": N_("Teachers"),
    "studentEnrollment": N_("Students in classes"),
    "teacherRoster": N_("Teachers in classes"),
    "schoolSections": N_("Classes at schools"),
    "studentSchools": N_("Students at schools"),
    "teacherSchools": N_("Teachers at schools"),
    "guardians": N_("Guardians"),
}

ENTRY: dict[str, str] = {
    # the names that errors have for kinds, those whose records stand for themselves first
    "School": KIND["school"],
    "Section": KIND["section"],
    "Student": KIND["student"],
    "Teacher": KIND["teacher"],
    "StudentEnrollment": KIND["studentEnrollment"],
    "TeacherRoster": KIND["teacherRoster"],
    "SchoolSections": KIND["schoolSections"],
    "SchoolStudents": KIND["studentSchools"],
    "SchoolTeachers": KIND["teacherSchools"],
}

OP: dict[str, tuple[str, str]] = {
    # operation -> what it is called, how it looks
    "create": (N_("new"), "good"),
    "restore": (N_("back again"), "good"),
    "adopt": (N_("taken over"), "warn"),
    "rekey": (N_("other id"), "warn"),
    "update": (N_("changed"), "busy"),
    "link": (N_("joins"), "good"),
    "relink": (N_("other role"), "busy"),
    "unlink": (N_("leaves"), "bad"),
    "remove": (N_("goes"), "bad"),
    "expire": (N_("expires"), "warn"),
    "bin": (N_("into the bin"), "bad"),
    "unbin": (N_("out of the bin"), "good"),
    "purge": (N_("deleted for good"), "bad"),
}

HAND: dict[str, str] = {"person": N_("Person")}
"""What is changed by hand and is no kind of a plan."""

RULE: dict[str, str] = {
    "new-record": N_("The files have it for the first time."),
    "changed": N_("The files say something else than before."),
    "back": N_("It is in the files again."),
    "adopted": N_("It was in the directory already and belongs to this profile from now on."),
    "rekeyed": N_("Its id has changed."),
    "drift": N_("Somebody has changed it by hand in the directory; what the files say counts."),
    "role": N_("The role in the class has changed."),
    "left-scope": N_("The files have it, and the settings of this profile leave it out by now."),
    "undone": N_("A person takes an earlier run back."),
    "kept-long-enough": N_("It left so long ago that it is not kept any more."),
    "binned": N_("It has left, and this profile puts what left so long ago into the bin."),
    "gone": N_("The files do not have it any more."),
    "expired": N_("The files do not have it any more, and this profile marks classes that leave as expired."),
    "term-over": N_("Its term is over, and this profile lets classes expire then."),
    "cleaned-up": N_("The profile has ended, and a person cleans up its classes."),
    "erased": N_("The person was erased on request."),
}

TRIED: dict[str, tuple[str, str]] = {
    # what a run would make of a person who was typed in
    "keeps": (N_("stays"), "good"),
    "takesOver": (N_("taken over"), "warn"),
    "creates": (N_("new account"), "good"),
    "refused": (N_("no account"), "bad"),
    "leftAlone": (N_("left alone"), "busy"),
}

FIELD: dict[str, str] = {
    # columns of the directory that a school sees most; others are shown by their names
    "display_name": N_("name"),
    "school_number": N_("school number"),
    "state_id": N_("state id"),
    "lowest_grade": N_("lowest grade"),
    "highest_grade": N_("highest grade"),
    "address_city": N_("city"),
    "phone": N_("phone"),
    "principal_name": N_("head"),
    "class_code": N_("class code"),
    "course_name": N_("course"),
    "course_subject": N_("subject"),
    "term_name": N_("term"),
    "term_start": N_("term begins"),
    "term_end": N_("term ends"),
    "status": N_("status"),
    "period": N_("period"),
    "student_number": N_("student number"),
    "student_grade": N_("grade"),
    "graduation_year": N_("graduation year"),
    "teacher_number": N_("teacher number"),
    "title": N_("title"),
    "given_name": N_("first name"),
    "surname": N_("last name"),
    "middle_name": N_("middle name"),
    "user_principal_name": N_("sign-in name"),
    "mail": N_("mail address"),
    "grade": N_("grade"),
    "active": N_("active"),
    "account_enabled": N_("account enabled"),
    "school_id": N_("school"),
    "role": N_("role"),
    "birth_date": N_("birth date"),
}

ENTRIES: dict[str, str] = {"schools": N_("Schools"), "classes": N_("Classes"), "people": N_("People")}

PERSON: dict[str, str] = {
    "student": N_("student"),
    "teacher": N_("teacher"),
    "none": N_("neither student nor teacher"),
    "faculty": N_("faculty"),
}

ROLES: dict[str, str] = {
    "viewer": N_("may look"),
    "operator": N_("may look and run"),
    "approver": N_("may look and approve"),
    "admin": N_("may do everything but read the audit log"),
    "auditor": N_("may read the audit log"),
}

SAID: dict[str, str] = {
    # what a page says after something was done, by the word in its address
    "signed-out": N_("You are signed out."),
    "saved": N_("Saved. The next run goes by it."),
    "created": N_("The profile is made. It is being set up, which takes a moment."),
    "deleted": N_("The profile is being deleted. The schools, classes and people that it has synchronized stay."),
    "paused": N_("It pauses: what is being written at the moment is finished first."),
    "resumed": N_("It goes on."),
    "reset": N_("It starts all over."),
    "retried": N_("It is tried again."),
    "cancelled": N_("The run ends: what is being written at the moment is finished first."),
    "undoing": N_("This run takes the other one back."),
    "approved": N_("Approved. The run goes on."),
    "approved-part": N_("Approved. Approve more, or go on with the approved parts."),
    "second-person": N_("Approved. One more person has to approve the same."),
    "discarded": N_("The plan is thrown away; nothing more of it is changed."),
    "discarded-part": N_("Left out. Approve the rest, or leave out more."),
    "checking": N_("The files are being checked. Nothing is changed by that."),
    "begun": N_("A run has begun."),
    "restored": N_("It is out of the bin."),
    "notices-saved": N_("Saved."),
    "test-sent": N_("A test is on its way: this page shows in a moment whether it arrived."),
    "taken-back": N_("The link opens nothing any more."),
}
"""Sentences that follow an act."""
