"""Organisations, their superiors, their territory of responsibility, their successions: all dated, all sourced."""

from django.db import models
from django.db.models import F, Q

from hiepdong.territories.models import Unit


class Kind(models.TextChoices):
    """What kind of body it is; selectors of a regulation name these values."""

    PARTY_PROVINCE = "party_province"  # Tỉnh ủy
    PARTY_DISTRICT = "party_district"  # Huyện ủy, Thị ủy, Thành ủy
    PARTY_COMMUNE = "party_commune"  # Đảng ủy xã, phường
    PEOPLES_COMMITTEE_PROVINCE = "peoples_committee_province"  # UBND tỉnh
    PEOPLES_COMMITTEE_DISTRICT = "peoples_committee_district"  # UBND huyện, thị xã
    PEOPLES_COMMITTEE_COMMUNE = "peoples_committee_commune"  # UBND xã, phường
    BORDER_GUARD_PARTY = "border_guard_party"  # Đảng ủy BĐBP tỉnh; Đảng ủy Ban Chỉ huy BĐBP tỉnh
    BORDER_GUARD_COMMAND = "border_guard_command"  # Bộ Chỉ huy (until 2025), Ban Chỉ huy BĐBP tỉnh
    BORDER_STATION = "border_station"  # đồn biên phòng
    BORDER_GATE_COMMAND = "border_gate_command"  # ban chỉ huy cửa khẩu cảng
    SEA_SQUADRON = "sea_squadron"  # hải đội
    MILITARY_COMMAND = "military_command"  # Bộ Chỉ huy Quân sự tỉnh
    DEPARTMENT = "department"  # sở, ban, ngành
    MINISTRY = "ministry"
    GOVERNMENT = "government"
    FOREIGN_COUNTERPART = "foreign_counterpart"
    OTHER = "other"


class Organisation(models.Model):
    """One body under one name, from its founding until its end; a renamed body is a successor."""

    key = models.CharField(max_length=80, unique=True)  # "nghe-an.don-my-ly": stable, ASCII, in data and dispatches
    kind = models.CharField(max_length=30, choices=Kind)
    name = models.CharField(max_length=200)
    short_name = models.CharField(max_length=80, blank=True)
    notation = models.CharField(max_length=30, blank=True)  # after the slash in a document number: "ĐU", "UBND", "BCH"
    place = models.CharField(max_length=80, blank=True)  # place name printed before the date
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    founding_instrument = models.CharField(max_length=300, blank=True)
    source = models.CharField(max_length=300)
    verified = models.BooleanField(default=False)
    name_folded = models.CharField(max_length=200)
    name_sort = models.CharField(max_length=440)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="organisations_organisation_kind"),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True) | Q(valid_until__gt=F("valid_from")),
                name="organisations_organisation_period",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "name_sort"], name="organisations_kind_sort"),
            models.Index(fields=["name_folded"], name="organisations_folded"),
        ]


class Superior(models.Model):
    """`organisation` stands under `superior`, dated."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="superiors")
    superior = models.ForeignKey(Organisation, models.PROTECT, related_name="subordinates")
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=300)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "superior", "valid_from"], name="organisations_superior_identity"),
        ]


class Responsibility(models.Model):
    """`organisation` answers for `unit`, dated: the territory of a station, the unit a Party committee leads."""

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="responsibilities")
    unit = models.ForeignKey(Unit, models.PROTECT, related_name="responsible")
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=300)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "unit", "valid_from"], name="organisations_responsibility_identity"
            ),
        ]


class OrganisationSuccession(models.Model):
    """A predecessor's work went to a successor on a day, by an act."""

    predecessor = models.ForeignKey(Organisation, models.PROTECT, related_name="successions")
    successor = models.ForeignKey(Organisation, models.PROTECT, related_name="predecessions")
    effective_on = models.DateField()
    act = models.CharField(max_length=300)
    source = models.CharField(max_length=300)
    verified = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["predecessor", "successor"], name="organisations_succession_pair"),
        ]


class Reorganisation(models.Model):
    """A reorganisation file that was loaded: its bytes' digest and the report it gave."""

    key = models.CharField(max_length=80, unique=True)  # "nghe-an.don-my-ly": stable, ASCII, in data and dispatches
    title = models.CharField(max_length=300)
    effective_on = models.DateField()
    digest = models.CharField(max_length=64)
    loaded_at = models.DateTimeField()
    report = models.JSONField(default=dict)
