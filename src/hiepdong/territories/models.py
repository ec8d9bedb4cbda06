"""Units, their successions, and dated flags (land border, coast)."""

from django.db import models
from django.db.models import F, Q


class Level(models.TextChoices):
    PROVINCE = "province"
    DISTRICT = "district"
    COMMUNE = "commune"


class Unit(models.Model):
    """One administrative unit from `valid_from` (inclusive) until `valid_until` (exclusive, null = still)."""

    code = models.CharField(max_length=8)  # the statistics office's code, text: leading zeros count
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    level = models.CharField(max_length=10, choices=Level)
    kind = models.CharField(max_length=30)  # "tỉnh", "huyện", "thị xã", "xã", "phường", …
    name = models.CharField(max_length=100)  # "Nậm Cắn", without the kind, NFC
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    name_folded = models.CharField(max_length=100)  # kernel.text.fold(name): for search, never for matching
    name_sort = models.CharField(max_length=220)
    source = models.CharField(max_length=300)  # where this row was read, or the act

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "level", "valid_from"], name="territories_unit_identity"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
                name="territories_unit_period",
            ),
            models.CheckConstraint(condition=Q(level__in=Level.values), name="territories_unit_level"),
        ]
        indexes = [
            models.Index(fields=["parent", "name_sort"], name="territories_unit_children"),
            models.Index(fields=["name_folded"], name="territories_unit_folded"),
        ]

    @property
    def full_name(self) -> str:
        """The kind and the name: "xã Nậm Cắn"."""
        return f"{self.kind} {self.name}"


class Succession(models.Model):
    """A predecessor went, whole or in part, into a successor on a day, by an act."""

    class Share(models.TextChoices):
        WHOLE = "whole"
        PART = "part"

    predecessor = models.ForeignKey(Unit, models.PROTECT, related_name="successions")
    successor = models.ForeignKey(Unit, models.PROTECT, related_name="predecessions")
    effective_on = models.DateField()
    share = models.CharField(max_length=5, choices=Share, default=Share.WHOLE)
    source = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["predecessor", "successor"], name="territories_succession_pair"),
            models.CheckConstraint(condition=Q(share__in=["whole", "part"]), name="territories_succession_share"),
        ]


class UnitFlag(models.Model):
    """A unit lies on the land border or on the coast, from a day until a day, according to a source."""

    class Flag(models.TextChoices):
        LAND_BORDER = "land_border"
        COASTAL = "coastal"

    unit = models.ForeignKey(Unit, models.PROTECT, related_name="flags")
    flag = models.CharField(max_length=12, choices=Flag)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=300)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["unit", "flag", "valid_from"], name="territories_unitflag_identity"),
            models.CheckConstraint(condition=Q(flag__in=["land_border", "coastal"]), name="territories_unitflag_flag"),
        ]
