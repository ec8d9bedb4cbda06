"""Why a bundle is refused. Each is one fault, told with the place in the bundle, what was found and what to do.

A refusal is about the whole bundle: nothing of it was taken.
"""

from hiepdong.kernel.errors import DomainError, gettext_noop

COPY_AGAIN = gettext_noop(
    "Nothing was taken from it. Compare size and digest with the cover sheet; copy the bundle again, or ask the sender to "
    "export it again."
)
TELL_SENDER = gettext_noop(
    "Nothing was taken from it. Such a bundle is not made by this program: do not use it, and tell your administrator and the "
    "sender."
)


def shown(name: object) -> str:
    """Return a name out of a hostile file so that it can be shown: one short line of visible characters."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:200])
    return visible if len(visible) <= 120 else visible[:119] + "…"


class BundleRefused(DomainError):
    """A bundle cannot be taken. The others say why."""

    code = "exchange.bundle_refused"
    message = gettext_noop("The bundle is refused.")
    hint = TELL_SENDER


# --- the file -------------------------------------------------------------------------------------------------------------


class BundleUnreadable(BundleRefused):
    """The file cannot be read from the disk or the stick."""

    code = "exchange.bundle_unreadable"
    message = gettext_noop("The file %(file)s cannot be read: %(reason)s.")
    hint = gettext_noop("Check the path and the stick; try another port, or ask for the bundle on another stick.")


class BundleStillEncrypted(BundleRefused):
    """The file is encrypted; it has to be decrypted before it is looked at."""

    code = "exchange.bundle_still_encrypted"
    message = gettext_noop("The bundle %(file)s is encrypted and was not opened with the key of a node.")
    hint = gettext_noop("Import it on the node that it was made for.")


class BundleNotWhole(BundleRefused):
    """There is no zip directory at the very end: another file, a cut one, or one with something behind it."""

    code = "exchange.bundle_not_whole"
    message = gettext_noop("The file %(file)s is not a whole bundle: its directory does not stand at the end.")
    hint = COPY_AGAIN


class BundleDamaged(BundleRefused):
    """Two places of the zip say different things, or its packed bytes cannot be unpacked."""

    code = "exchange.bundle_damaged"
    message = gettext_noop("The bundle is damaged at %(entry)s (%(what)s).")
    hint = COPY_AGAIN


class BundleForeignZip(BundleRefused):
    """The zip uses something that no bundle needs and that programs read differently."""

    code = "exchange.bundle_foreign_zip"
    message = gettext_noop("The bundle uses something of the zip format that a bundle may not use, at %(entry)s: %(what)s.")
    hint = gettext_noop(
        "Nothing was taken from it. Accepted: files stored or deflated, in one piece; no ZIP64, no comment, no second name."
    )


class BundleMemberLocked(BundleRefused):
    """A file inside the zip is encrypted by itself."""

    code = "exchange.bundle_member_locked"
    message = gettext_noop("The file %(entry)s inside the bundle is locked with a password.")
    hint = gettext_noop("Nothing was taken from it. A bundle is encrypted as a whole with age, or not at all.")


class BundleOverlap(BundleRefused):
    """Two files of the zip share bytes: how small files unpack to enormous ones."""

    code = "exchange.bundle_overlap"
    message = gettext_noop("The file %(entry)s inside the bundle lies over another one.")
    hint = TELL_SENDER


class BundleHiddenBytes(BundleRefused):
    """The zip holds bytes that belong to no file."""

    code = "exchange.bundle_hidden_bytes"
    message = gettext_noop("Before %(entry)s the bundle holds %(count)s bytes that belong to no file.")
    hint = TELL_SENDER


class BundleTooLarge(BundleRefused):
    """The bundle holds more than this node takes in one piece, or more than one bundle may hold."""

    code = "exchange.bundle_too_large"
    message = gettext_noop("The bundle holds too much in one piece: %(what)s %(found)s; at most %(accepted)s.")
    hint = gettext_noop("Export it in several smaller parts.")


class BundleBomb(BundleRefused):
    """Unpacked it would be out of all proportion."""

    code = "exchange.bundle_bomb"
    message = gettext_noop(
        "The bundle has %(packed)s bytes and would unpack to %(unpacked)s, more than %(ratio)s times as much."
    )
    hint = TELL_SENDER


# --- names ----------------------------------------------------------------------------------------------------------------


class BundleBadName(BundleRefused):
    """A name leads out of the folder, or has characters that programs read differently."""

    code = "exchange.bundle_bad_name"
    message = gettext_noop("A file inside the bundle has a dangerous name: %(entry)s.")
    hint = gettext_noop(
        "Nothing was taken from it. Accepted: letters a–z, digits, dot, hyphen and underscore in one folder of its own; do not "
        "use this bundle, and tell your administrator and the sender."
    )


class BundleLink(BundleRefused):
    """An entry is a link, a device or another thing that is no plain file."""

    code = "exchange.bundle_link"
    message = gettext_noop("%(entry)s inside the bundle is a link or a special file, not a plain file.")
    hint = TELL_SENDER


class BundleNameTwice(BundleRefused):
    """One name stands for two contents."""

    code = "exchange.bundle_name_twice"
    message = gettext_noop("The name %(entry)s stands twice in the bundle.")
    hint = TELL_SENDER


class BundleExtraFile(BundleRefused):
    """A file has no place in a bundle, or is not named by the manifest."""

    code = "exchange.bundle_extra_file"
    message = gettext_noop("The bundle holds %(entry)s, which its list of contents does not name.")
    hint = TELL_SENDER


class BundleMissingFile(BundleRefused):
    """A file that has to be there is not."""

    code = "exchange.bundle_missing_file"
    message = gettext_noop("The file %(entry)s is missing in the bundle.")
    hint = COPY_AGAIN


class BundleTwoHashes(BundleRefused):
    """A second kind of manifest: two programs could each check another one."""

    code = "exchange.bundle_two_hashes"
    message = gettext_noop("The bundle brings a second list of digests: %(entry)s.")
    hint = gettext_noop("Nothing was taken from it. Accepted: manifest-sha256.txt and tagmanifest-sha256.txt only.")


# --- contents -------------------------------------------------------------------------------------------------------------


class BundleWrongDigest(BundleRefused):
    """The bytes are not those that the manifest promises."""

    code = "exchange.bundle_wrong_digest"
    message = gettext_noop(
        "The contents of %(entry)s are not what the list promises: SHA-256 %(found)s, promised %(accepted)s."
    )
    hint = COPY_AGAIN


class BundleBadTagFile(BundleRefused):
    """bagit.txt, bag-info.txt or a manifest is not written as it has to be."""

    code = "exchange.bundle_bad_tag_file"
    message = gettext_noop("%(entry)s cannot be read: found %(found)s.")
    hint = gettext_noop("Nothing was taken from it. Accepted: %(accepted)s.")


class BundleBadStatement(BundleRefused):
    """The signed statement of the bundle lacks something, or says something that cannot be."""

    code = "exchange.bundle_bad_statement"
    message = gettext_noop("The signed statement of the bundle does not fit at %(path)s: found %(found)s.")
    hint = gettext_noop("Nothing was taken from it. Accepted: %(accepted)s. Ask the sender which version its node runs.")


class BundleDisagrees(BundleRefused):
    """What was signed is not what lies in the bundle."""

    code = "exchange.bundle_disagrees"
    message = gettext_noop("The signed statement of the bundle and its list of contents disagree about %(entry)s.")
    hint = TELL_SENDER


class BundleBadItem(BundleRefused):
    """A line is not an item."""

    code = "exchange.bundle_bad_item"
    message = gettext_noop("%(entry)s, line %(line)s is not an item: %(found)s.")
    hint = gettext_noop("Nothing was taken from it. Accepted: %(accepted)s. Ask the sender which version its node runs.")


class BundleWrongCount(BundleRefused):
    """There are more or fewer items than were signed."""

    code = "exchange.bundle_wrong_count"
    message = gettext_noop("The bundle holds %(found)s items; its signed statement says %(accepted)s.")
    hint = TELL_SENDER


class BundleChanged(BundleRefused):
    """Read again, the file was another one than when it was checked."""

    code = "exchange.bundle_changed"
    message = gettext_noop("While it was read, %(entry)s was no longer what had been checked.")
    hint = gettext_noop("Copy the bundle from the stick to this machine and try again; do not use that stick any more.")


# --- writing --------------------------------------------------------------------------------------------------------------


class BundleNotWritten(DomainError):
    """The bundle could not be written; under its name there is nothing new."""

    code = "exchange.bundle_not_written"
    message = gettext_noop("The bundle %(file)s could not be written: %(reason)s.")
    hint = gettext_noop("Make room or choose another folder, and export again; nothing is lost.")


class BundleFileChanged(DomainError):
    """An attachment on this node is missing or is not the one that was kept."""

    code = "exchange.bundle_file_changed"
    message = gettext_noop("The attachment with the digest %(digest)s on this node is missing or damaged; no bundle was made.")
    hint = gettext_noop("Restore it from the backup, or ask its sender to send it again; then export again.")
