"""In words: why an item waits, why it was refused, what an incident of a link means, and what an administrator does then."""

from dataclasses import dataclass

from hiepdong.kernel.errors import gettext_noop


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence, and what to do."""

    message: str
    hint: str = ""


_WAIT = gettext_noop("It is released by itself when that comes. Release it by hand only if you know why it will not come.")
_ASK = gettext_noop("Ask the administrator of the other node; the bytes are kept here as evidence.")

REASONS: dict[str, Reason] = {
    # held
    "exchange.unknown_key": Reason(gettext_noop("The key of its signer is not here yet."), _WAIT),
    "exchange.newer_format": Reason(
        gettext_noop("It is written in a newer format than this version reads."),
        gettext_noop("Upgrade this node; it is then released by itself."),
    ),
    "exchange.newer_kind": Reason(
        gettext_noop("It is of a kind that this version does not know."),
        gettext_noop("Upgrade this node; it is then released by itself."),
    ),
    "exchange.unknown_kind": Reason(
        gettext_noop("It is of a kind that this version does not know."),
        gettext_noop("Upgrade this node; it is then released by itself."),
    ),
    "exchange.earlier_missing": Reason(
        gettext_noop("The earlier dispatch that it replaces or withdraws is not here yet."), _WAIT
    ),
    "exchange.dispatch_missing": Reason(gettext_noop("The dispatch that this receipt speaks of is not here."), _WAIT),
    "exchange.unknown_organisation": Reason(gettext_noop("It is addressed to an organisation that is not known here."), _WAIT),
    "exchange.key_needs_comparison": Reason(
        gettext_noop("The other node vouches for a new key itself, because the key before it was revoked or lost."),
        gettext_noop("Compare the fingerprint of the new key by telephone; release it if it is the same, else dismiss it."),
    ),
    "exchange.nothing_to_share": Reason(
        gettext_noop(
            "No regulation in force binds its sender with any recipient here, and this node takes only what one asks for."
        ),
        gettext_noop(
            "With a regulation that binds them it is released by itself, on the day on which that comes into force. "
            "Release it by hand if it is to be taken nevertheless."
        ),
    ),
    # refused
    "exchange.bad_signature": Reason(gettext_noop("Its signature is false, or it was changed after it was signed."), _ASK),
    "exchange.invalid_content": Reason(gettext_noop("Its content is not what the protocol allows."), _ASK),
    "exchange.wrong_key": Reason(gettext_noop("It is signed with the key of another organisation."), _ASK),
    "exchange.key_expired": Reason(
        gettext_noop("It was signed after the key had expired."), gettext_noop("The sender needs a new key and sends it anew.")
    ),
    "exchange.key_revoked": Reason(
        gettext_noop("Its key was revoked before anybody here had seen it."),
        gettext_noop("The sender sends it anew with its new key."),
    ),
    "exchange.wrong_recipient": Reason(gettext_noop("None of its recipients lives here."), _ASK),
    "exchange.recipient_narrowed": Reason(
        gettext_noop("Some recipients here did not get it: no regulation in force binds them with the sender.")
    ),
    "exchange.classified_content": Reason(
        gettext_noop("It bears a secrecy mark. Nothing of its content was kept."),
        gettext_noop("Report it as your rules on state secrets say; such papers go by the paper or cipher channel."),
    ),
    "exchange.dismissed": Reason(gettext_noop("It was refused by a person here, with a reason.")),
    # incidents
    "exchange.not_understood": Reason(
        gettext_noop("This version of the program fails when it reads the item; it is kept as it came."),
        gettext_noop("Upgrade this node, or dismiss the item with a reason; tell those who maintain the program."),
    ),
    "exchange.chain_broken": Reason(
        gettext_noop(
            "The sender names another dispatch as the one before than the one that is here; both are signed and kept."
        ),
        _ASK,
    ),
    "exchange.too_many_hops": Reason(
        gettext_noop("The item went through too many nodes and is not carried on."),
        gettext_noop("Look whether two nodes relay to each other in a circle."),
    ),
    "exchange.held_beyond_sent": Reason(
        gettext_noop("The other node says that it holds more than was sent to it, and shows nothing that we signed."), _ASK
    ),
    "exchange.echo_false": Reason(
        gettext_noop("The other node gave back as ours what nobody here signed; it was not taken."), _ASK
    ),
    "exchange.places_lost": Reason(
        gettext_noop("What stood in some places is known to neither node: a bundle was lost, and a restore lost it here too."),
        gettext_noop("Compare the registers of both sides; send again what is missing there."),
    ),
    "exchange.number_given_twice": Reason(
        gettext_noop("A number was given out again after a restore: the dispatch that was lost bears it too."),
        gettext_noop("Both are kept. Send the newer one again under a new number, and tell the recipients."),
    ),
    "exchange.answered_twice": Reason(
        gettext_noop("After a restore another answer was given than the one that was lost."),
        gettext_noop("The other side holds the first answer; clear it up by a new dispatch."),
    ),
    "exchange.own_key_lost": Reason(
        gettext_noop("A key that was made after the backup is lost; papers that it signed are good all the same."),
        gettext_noop("Revoke it on the page of keys; the linked nodes then compare the key after it."),
    ),
    "exchange.file_classified": Reason(
        gettext_noop("An attachment bears a secrecy mark. Nothing of it was kept, and it is not asked for again."),
        gettext_noop("Report it as your rules on state secrets say; such papers go by the paper or cipher channel."),
    ),
    "exchange.position_reused": Reason(gettext_noop("A position was used again for other bytes."), _ASK),
    "exchange.altered": Reason(gettext_noop("A dispatch came again under the same id with other content."), _ASK),
    "exchange.sequence_conflict": Reason(gettext_noop("Two different dispatches bear the same number."), _ASK),
    "exchange.foreign_sender": Reason(gettext_noop("It was signed for an organisation that does not live at that node."), _ASK),
    "exchange.foreign_record": Reason(gettext_noop("It tries to replace or withdraw a dispatch of another sender."), _ASK),
    "exchange.foreign_key": Reason(
        gettext_noop("It speaks of a key of an organisation that does not live at that node."), _ASK
    ),
    "exchange.foreign_directory": Reason(gettext_noop("Somebody who may not speak for that node sent a directory."), _ASK),
    "exchange.key_without_continuity": Reason(
        gettext_noop("A new key came that the key before it did not sign; it was not taken."), _ASK
    ),
    "exchange.receipt_of_other_bytes": Reason(gettext_noop("A receipt speaks of other bytes than those that were sent."), _ASK),
    "exchange.receipt_changed": Reason(gettext_noop("A receipt came again with other content."), _ASK),
    "exchange.receipt_contradicts": Reason(
        gettext_noop("A receipt contradicts an earlier answer of the same organisation."), _ASK
    ),
    "exchange.not_addressed": Reason(gettext_noop("A receipt came from an organisation to which nothing was addressed."), _ASK),
    "exchange.peer_restored": Reason(
        gettext_noop("The other node was restored from a backup. What it lost is sent to it again."),
        gettext_noop("Nothing is to be done, unless the other administrator knows of no restore."),
    ),
    "exchange.restored_from_backup": Reason(
        gettext_noop("The other node holds more of us than we remember: this node's data is older than that."),
        gettext_noop("This node recovers what it lost from its neighbours before it sends again."),
    ),
    "exchange.journal_contradicts": Reason(
        gettext_noop("The other node's journal contradicts what it said of it before."),
        gettext_noop("Keep both checkpoints; ask for an explanation in writing."),
    ),
    "exchange.own_node_key_lost": Reason(
        gettext_noop("This node had changed its own key after the backup from which it was restored; the new key is lost."),
        gettext_noop("Revoke it (hiepdong node revoke-key), make a fresh invitation and compare the pair number again."),
    ),
    "exchange.journal_after_restore": Reason(
        gettext_noop("The other node's journal goes on from an earlier place: it was restored from a backup, as it said."),
        gettext_noop("What it had written after that backup is lost there; the checkpoints held here show that it was there."),
    ),
    "exchange.claimed_twice": Reason(gettext_noop("The other node names organisations whose home is elsewhere."), _ASK),
    "exchange.file_wrong": Reason(
        gettext_noop("An attachment came whose bytes are not those that were signed."),
        gettext_noop("It is asked for again by itself."),
    ),
    "exchange.piece_unusable": Reason(
        gettext_noop("A piece of an attachment did not fit."), gettext_noop("It is asked for again by itself.")
    ),
}


def reason_of(code: str) -> Reason:
    """Return what a code means; one that has no words here is shown as it is."""
    return REASONS.get(code) or Reason(code)
