"""The types of Graph's education API: every property with its type, whether it may be null, and who may write it.

Bodies are checked against this table, answers are written by it, filters are typed by it. It knows names and shapes
only; what a value means is for the services.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

PREFIX = "#microsoft.graph."
UNKNOWN = "unknownFutureValue"

PRIMITIVES = frozenset({"String", "Boolean", "Int64", "Date", "DateTimeOffset", "Guid"})


class Access(Enum):
    """Who may write a property, and whether it comes back."""

    READ_WRITE = "read and write"
    READ_ONLY = "read only: accepted in a body and ignored"
    WRITE_ONLY = "write only: never in an answer"
    NOT_KEPT = "declared by Graph, not kept here: only null is accepted"
    NAVIGATION = "a link to other objects: accepted in a body and ignored, never written in line"


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a type; `type` is an Edm primitive, an enumeration or a complex type."""

    name: str
    type: str
    collection: bool = False
    nullable: bool = True
    required: bool = False  # in a body that creates the object
    beta_only: bool = False  # v1.0 takes it and does not show it
    access: Access = Access.READ_WRITE


@dataclass(frozen=True, slots=True)
class Type:
    """An entity type or a complex type."""

    name: str
    properties: Mapping[str, Property]  # inherited ones first
    base: str | None = None
    abstract: bool = False
    entity: bool = False

    @property
    def odata_type(self) -> str:
        """The value of `@odata.type` on the wire."""
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An enumeration. `hidden` members are shown by name only to callers that ask for unknown members."""

    name: str
    members: tuple[str, ...]
    hidden: frozenset[str] = frozenset()
    beta_only: frozenset[str] = frozenset()
    values: tuple[int, ...] = ()  # the numbers of the members, when they do not count from zero

    def value(self, member: str) -> int:
        """The number of a member."""
        place = self.members.index(member)
        return self.values[place] if self.values else place


ENUMS: dict[str, Enumeration] = {
    enum.name: enum
    for enum in (
        Enumeration(
            "educationSynchronizationProfileState",
            ("deleting", "deletionFailed", "provisioningFailed", "provisioned", "provisioning", UNKNOWN),
            values=(2, 3, 5, 6, 7, 8),
        ),
        Enumeration(
            "educationSynchronizationStatus",
            (
                *("paused", "inProgress", "success", "error", "validationError", "quarantined", UNKNOWN),
                *("extracting", "validating"),
            ),
            hidden=frozenset({"extracting", "validating"}),
        ),
        Enumeration(
            "educationUserRole",
            ("student", "teacher", "none", UNKNOWN, "faculty"),
            hidden=frozenset({"faculty"}),
            beta_only=frozenset({"faculty"}),
        ),
        Enumeration(
            "educationExternalSource",
            ("sis", "manual", UNKNOWN, "lms"),
            hidden=frozenset({"lms"}),
            beta_only=frozenset({"lms"}),
        ),
        Enumeration("educationGender", ("female", "male", "other", UNKNOWN)),
        Enumeration(
            "contactRelationship", ("parent", "relative", "aide", "doctor", "guardian", "child", "other", UNKNOWN)
        ),
        Enumeration("physicalAddressType", ("unknown", "home", "business", "other")),
    )
}

TYPES: dict[str, Type] = {}


def _add(
    name: str, *properties: Property, base: str | None = None, abstract: bool = False, entity: bool = False
) -> None:
    inherited = dict(TYPES[base].properties) if base else {}
    inherited.update((prop.name, prop) for prop in properties)
    TYPES[name] = Type(name, inherited, base, abstract, entity or (base is not None and TYPES[base].entity))


def _all(type_name: str, *names: str, access: Access = Access.READ_WRITE) -> tuple[Property, ...]:
    """Nullable properties of one type."""
    return tuple(Property(name, type_name, access=access) for name in names)


def _texts(*names: str) -> tuple[Property, ...]:
    return _all("String", *names)


def _must(name: str, type_name: str = "String", *, collection: bool = False) -> Property:
    """A property that is never null and that a new object needs."""
    return Property(name, type_name, collection=collection, nullable=False, required=True)


def _list(
    name: str, type_name: str = "String", *, nullable: bool = False, access: Access = Access.READ_WRITE
) -> Property:
    return Property(name, type_name, collection=True, nullable=nullable, access=access)


def _nav(name: str, type_name: str, *, collection: bool = True) -> Property:
    return Property(name, type_name, collection=collection, access=Access.NAVIGATION)


_add("entity", Property("id", "String", nullable=False, access=Access.READ_ONLY), abstract=True, entity=True)

# --- synchronization -----------------------------------------------------------------------------------------------

_add("educationSynchronizationDataProvider", abstract=True)
_add(
    "educationSynchronizationConnectionSettings",
    _must("clientId"),
    *_all("String", "clientSecret", access=Access.WRITE_ONLY),
    abstract=True,
)
_add("educationSynchronizationOAuth1ConnectionSettings", base="educationSynchronizationConnectionSettings")
_add(
    "educationSynchronizationOAuth2ClientCredentialsConnectionSettings",
    _must("tokenUrl"),
    *_texts("scope"),
    base="educationSynchronizationConnectionSettings",
)
_add(
    "educationSynchronizationCustomization",
    _list("optionalPropertiesToSync", nullable=True),
    *_all("DateTimeOffset", "synchronizationStartDate"),
    *_all("Boolean", "isSyncDeferred", "allowDisplayNameUpdate"),
)
_add("educationSynchronizationCustomizationsBase", abstract=True)
_add(
    "educationSynchronizationCustomizations",
    *_all(
        "educationSynchronizationCustomization",
        *("school", "section", "student", "teacher", "studentEnrollment", "teacherRoster"),
    ),
    base="educationSynchronizationCustomizationsBase",
)
_CUSTOMIZATIONS = _all("educationSynchronizationCustomizations", "customizations")
_add("educationCsvDataProvider", *_CUSTOMIZATIONS, base="educationSynchronizationDataProvider")
_add(
    "educationOneRosterApiDataProvider",
    _must("connectionUrl"),
    _must("connectionSettings", "educationSynchronizationConnectionSettings"),
    _list("schoolsIds", nullable=True),
    _list("termIds", nullable=True),
    *_texts("providerName"),
    *_CUSTOMIZATIONS,
    base="educationSynchronizationDataProvider",
)
_add(
    "educationPowerSchoolDataProvider",
    _must("connectionUrl"),
    _must("clientId"),
    *_all("String", "clientSecret", access=Access.WRITE_ONLY),
    _list("schoolsIds", nullable=True),
    *_texts("schoolYear"),
    *_all("Boolean", "allowTeachersInMultipleSchools"),
    *_CUSTOMIZATIONS,
    base="educationSynchronizationDataProvider",
)
_add("educationIdentitySynchronizationConfiguration", abstract=True)
_add("educationIdentityDomain", _must("appliesTo", "educationUserRole"), _must("name"))
_add(
    "educationIdentityMatchingOptions",
    _must("appliesTo", "educationUserRole"),
    _must("sourcePropertyName"),
    _must("targetPropertyName"),
    *_texts("targetDomain"),
)
_add(
    "educationIdentityCreationConfiguration",
    _must("userDomains", "educationIdentityDomain", collection=True),
    base="educationIdentitySynchronizationConfiguration",
)
_add(
    "educationIdentityMatchingConfiguration",
    _must("matchingOptions", "educationIdentityMatchingOptions", collection=True),
    base="educationIdentitySynchronizationConfiguration",
)
_add(
    "educationSynchronizationLicenseAssignment", *_all("educationUserRole", "appliesTo"), _list("skuIds", nullable=True)
)
_add("educationFileSynchronizationVerificationMessage", *_texts("type", "fileName", "description"))
_add(
    "educationSynchronizationError",
    *_texts("entryType", "errorCode", "errorMessage", "joiningValue"),
    *_all("DateTimeOffset", "recordedDateTime"),
    *_texts("reportableIdentifier"),
    base="entity",
)
_add(
    "educationSynchronizationProfileStatus",
    *_all("educationSynchronizationStatus", "status"),
    *_all("DateTimeOffset", "lastSynchronizationDateTime", "lastActivityDateTime"),
    *_all("Int64", "errorCount"),
    *_texts("statusMessage"),
    base="entity",
)
_add(
    "educationSynchronizationProfile",
    _must("displayName"),
    _must("dataProvider", "educationSynchronizationDataProvider"),
    _must("identitySynchronizationConfiguration", "educationIdentitySynchronizationConfiguration"),
    _list("licensesToAssign", "educationSynchronizationLicenseAssignment", nullable=True),
    *_all("educationSynchronizationProfileState", "state", access=Access.READ_ONLY),
    *_all("Boolean", "handleSpecialCharacterConstraint"),
    *_all("Date", "expirationDate"),
    _nav("errors", "educationSynchronizationError"),
    _nav("profileStatus", "educationSynchronizationProfileStatus", collection=False),
    base="entity",
)

# --- directory -----------------------------------------------------------------------------------------------------

_add("identity", *_texts("id", "displayName"))
_add("identitySet", *_all("identity", "application", "device", "user"))
_add(
    "physicalAddress",
    *_texts("street", "city", "state", "countryOrRegion", "postalCode"),
    *_all("String", "postOfficeBox", access=Access.NOT_KEPT),
    *_all("physicalAddressType", "type", access=Access.NOT_KEPT),
)
_add(
    "educationStudent",
    *_texts("studentNumber", "externalId", "grade", "graduationYear"),
    *_all("Date", "birthDate"),
    *_all("educationGender", "gender"),
)
_add("educationTeacher", *_texts("teacherNumber", "externalId"))
_add("educationTerm", *_texts("externalId", "displayName"), *_all("Date", "startDate", "endDate"))
_add("educationCourse", *_texts("externalId", "displayName", "courseNumber", "description", "subject"))
_add("educationOnPremisesInfo", *_texts("immutableId"))
_add(
    "relatedContact",
    Property("id", "String", beta_only=True),
    _must("displayName"),
    *_texts("emailAddress", "mobilePhone"),
    _must("relationship", "contactRelationship"),
    *_all("Boolean", "accessConsent"),
)
_add("assignedLicense", _list("disabledPlans", "Guid"), *_all("Guid", "skuId"))
_add(
    "assignedPlan",
    *_all("DateTimeOffset", "assignedDateTime"),
    *_texts("capabilityStatus", "service"),
    *_all("Guid", "servicePlanId"),
)
_add("provisionedPlan", *_texts("capabilityStatus", "provisioningStatus", "service"))
_add(
    "passwordProfile",
    *_texts("password"),
    *_all("Boolean", "forceChangePasswordNextSignIn", "forceChangePasswordNextSignInWithMfa"),
)
_CREATED_BY = _all("identitySet", "createdBy", access=Access.READ_ONLY)
_EXTERNAL = (*_all("educationExternalSource", "externalSource"), *_texts("externalSourceDetail"))
_add("educationOrganization", _must("displayName"), *_texts("description"), *_EXTERNAL, base="entity", abstract=True)
_add(
    "educationSchool",
    *_texts("externalId", "externalPrincipalId", "principalName", "principalEmail"),
    *_texts("lowestGrade", "highestGrade", "schoolNumber", "phone", "fax"),
    *_all("physicalAddress", "address"),
    *_CREATED_BY,
    _nav("administrativeUnit", "administrativeUnit", collection=False),
    _nav("classes", "educationClass"),
    _nav("users", "educationUser"),
    base="educationOrganization",
)
_add(
    "educationClass",
    _must("displayName"),
    _must("mailNickname"),
    *_texts("description", "classCode", "grade", "externalId", "externalName"),
    *_EXTERNAL,
    *_all("educationTerm", "term"),
    *_all("educationCourse", "course"),
    *_CREATED_BY,
    _nav("group", "group", collection=False),
    _nav("members", "educationUser"),
    _nav("teachers", "educationUser"),
    _nav("schools", "educationSchool"),
    base="entity",
)
_add(
    "educationUser",
    Property("primaryRole", "educationUserRole", nullable=False),
    Property("displayName", "String", required=True),
    Property("accountEnabled", "Boolean", required=True),
    Property("mailNickname", "String", required=True),
    Property("passwordProfile", "passwordProfile", required=True, access=Access.WRITE_ONLY),
    Property("userPrincipalName", "String", required=True),
    *_texts("givenName", "middleName", "surname"),
    *_all("String", "mail", access=Access.READ_ONLY),
    _list("businessPhones"),
    *_texts("mobilePhone", "officeLocation", "department", "preferredLanguage", "passwordPolicies", "userType"),
    *_texts("usageLocation"),
    _list("assignedLicenses", "assignedLicense"),
    _list("assignedPlans", "assignedPlan", access=Access.READ_ONLY),
    _list("provisionedPlans", "provisionedPlan", access=Access.READ_ONLY),
    *_all("DateTimeOffset", "refreshTokensValidFromDateTime"),
    *_all("Boolean", "showInAddressList"),
    *_EXTERNAL,
    *_all("educationStudent", "student"),
    *_all("educationTeacher", "teacher"),
    *_all("physicalAddress", "mailingAddress", "residenceAddress"),
    _list("relatedContacts", "relatedContact", nullable=True),
    *_all("educationOnPremisesInfo", "onPremisesInfo"),
    *_CREATED_BY,
    _nav("classes", "educationClass"),
    _nav("taughtClasses", "educationClass"),
    _nav("schools", "educationSchool"),
    _nav("user", "user", collection=False),
    base="entity",
)
_add(
    "educationRoot",
    _nav("synchronizationProfiles", "educationSynchronizationProfile"),
    _nav("classes", "educationClass"),
    _nav("me", "educationUser", collection=False),
    _nav("schools", "educationSchool"),
    _nav("users", "educationUser"),
)

# The plain directory objects behind schools, classes and people: only what the navigations show.
_add(
    "administrativeUnit",
    *_texts("displayName", "description"),
    *_all("String", "visibility", access=Access.READ_ONLY),
    _nav("members", "user"),
    base="entity",
)
_add(
    "group",
    *_texts("displayName", "description"),
    *_all("String", "mail", access=Access.READ_ONLY),
    *_texts("mailNickname"),
    *_all("String", "visibility", access=Access.READ_ONLY),
    *_all("Boolean", "mailEnabled", "securityEnabled", access=Access.READ_ONLY),
    _list("groupTypes", access=Access.READ_ONLY),
    *_all("DateTimeOffset", "createdDateTime", access=Access.READ_ONLY),
    _nav("members", "user"),
    _nav("owners", "user"),
    base="entity",
)
_add(
    "user",
    *_texts("displayName", "givenName", "surname", "jobTitle"),
    *_all("String", "mail", access=Access.READ_ONLY),
    *_texts("mobilePhone", "officeLocation", "preferredLanguage", "userPrincipalName", "mailNickname", "department"),
    *_texts("usageLocation", "userType"),
    *_all("Boolean", "accountEnabled"),
    _list("businessPhones"),
    _list("assignedLicenses", "assignedLicense", access=Access.READ_ONLY),
    *_all("DateTimeOffset", "createdDateTime", access=Access.READ_ONLY),
    base="entity",
)


def type_of(name: str) -> Type:
    """The type of that exact name."""
    return TYPES[name]


def derived(name: str) -> Iterator[Type]:
    """The concrete types that stand where `name` is declared, itself included when it is concrete."""
    for kind in TYPES.values():
        ancestor: str | None = kind.name
        while ancestor is not None and ancestor != name:
            ancestor = TYPES[ancestor].base
        if ancestor == name and not kind.abstract:
            yield kind


_NAMESPACES = ("microsoft.graph.", "microsoft.education.datasync.")


@cache
def _by_wire_name(declared: str) -> dict[str, Type]:
    return {namespace + kind.name.lower(): kind for kind in derived(declared) for namespace in _NAMESPACES}


def named(declared: str, wire_name: str) -> Type | None:
    """The concrete type that an `@odata.type` names where `declared` is expected, or None.

    With and without `#`, in Graph's namespace and in the older DataSync one, in any letter case.
    """
    return _by_wire_name(declared).get(wire_name.removeprefix("#").lower())


@cache
def _by_lower_name(type_name: str) -> dict[str, Property]:
    return {name.lower(): prop for name, prop in TYPES[type_name].properties.items()}


def find(type_name: str, name: str) -> Property | None:
    """The property of that name; compared exactly first, then without case."""
    return TYPES[type_name].properties.get(name) or _by_lower_name(type_name).get(name.lower())


def at(type_name: str, path: str) -> Property | None:
    """The property at a path such as `student/externalId`, spelled exactly; its `name` is the last part."""
    *owners, last = path.split("/")
    for part in owners:
        owner = TYPES[type_name].properties.get(part)
        if owner is None or owner.type not in TYPES:
            return None
        type_name = owner.type
    return TYPES[type_name].properties.get(last)


def canonical(type_name: str, path: str) -> str | None:
    """`path` in the declared spelling of each part, or None when there is no such property."""
    parts: list[str] = []
    for part in path.split("/"):
        prop = find(type_name, part) if type_name in TYPES else None
        if prop is None:
            return None
        parts.append(prop.name)
        type_name = "" if prop.access is Access.NAVIGATION else prop.type  # a path ends at a link
    return "/".join(parts)
