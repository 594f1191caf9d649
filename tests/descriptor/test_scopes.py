import pytest
from addonkit.context import Module
from addonkit.descriptor.scopes import check_names, check_sufficient, merge
from addonkit.errors import DescriptorInvalid

HOOK = Module("webhooks", "kit", {"event": "jira:issue_created", "url": "/webhooks/kit/created"})


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({"READ", "WRITE"}, ("WRITE",)),
        ({"READ", "DELETE"}, ("DELETE",)),
        ({"ACT_AS_USER", "READ"}, ("READ", "ACT_AS_USER")),
        ({"ADMIN", "PROJECT_ADMIN", "SPACE_ADMIN", "DELETE", "READ"}, ("ADMIN",)),
        ({"PROJECT_ADMIN", "WRITE", "SPACE_ADMIN"}, ("PROJECT_ADMIN", "SPACE_ADMIN")),
        ({"ACCESS_EMAIL_ADDRESSES", "ACT_AS_USER", "ADMIN"}, ("ADMIN", "ACT_AS_USER", "ACCESS_EMAIL_ADDRESSES")),
        ({"NONE", "READ"}, ("READ",)),
        ({"NONE"}, ("NONE",)),
        (set(), ("NONE",)),
    ],
)
def test_scopes_are_merged_in_the_hosts_order_without_implied_ones(asked, served):
    assert merge(asked) == served


def test_scopes_are_accepted_in_any_case():
    assert check_names("kit", ["read", "Act_As_User"]) == {"READ", "ACT_AS_USER"}


def test_scope_that_is_unknown_is_refused_with_near_matches():
    with pytest.raises(DescriptorInvalid, match=r"plugin 'kit' has the scope 'REED'.*use 'READ'"):
        check_names("kit", ["REED"])


def test_scope_without_a_near_match_is_refused_with_all_scopes():
    with pytest.raises(DescriptorInvalid, match="'NONE' or 'READ' or 'WRITE'"):
        check_names("kit", ["zebra"])


@pytest.mark.parametrize("asked", [set(), {"NONE"}, {"ACT_AS_USER"}])
def test_webhook_without_read_is_refused(asked):
    with pytest.raises(
        DescriptorInvalid, match=r"plugin 'kit' declares 'jira:issue_created' .* without the scope 'READ'"
    ):
        check_sufficient(HOOK, frozenset(asked))


@pytest.mark.parametrize("scope", ["READ", "WRITE", "DELETE", "PROJECT_ADMIN", "SPACE_ADMIN", "ADMIN"])
def test_scope_read_or_more_is_enough_for_a_webhook(scope):
    assert check_sufficient(HOOK, frozenset({scope})) is None


def test_page_needs_no_scope():
    assert check_sufficient(Module("webPanels", "kit", {"key": "p"}), frozenset()) is None
