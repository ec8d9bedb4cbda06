"""What a role may do: the whole table, written out."""

import pytest

from hiepdong.accounts.domain.permissions import Action, Role, may

EXPECTED = {
    Role.VIEWER: {"read"},
    Role.CLERK: {"read", "draft", "acknowledge", "edit_review"},
    Role.SIGNER: {
        "read",
        "draft",
        "acknowledge",
        "edit_review",
        "send",
        "return",
        "waive",
        "approve_review",
    },
    Role.ORGANISATION_ADMINISTRATOR: {"read", "manage_seats"},
    Role.NODE_ADMINISTRATOR: {"manage_seats", "manage_node"},
}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_do_exactly_what_is_written_here(role):
    assert {a.value for a in Action if may(role.value, a)} == EXPECTED[role]


def test_whoever_runs_the_node_reads_nobodys_papers():
    assert not may("node_administrator", Action.READ)


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="admin"):
        may("admin", Action.READ)
