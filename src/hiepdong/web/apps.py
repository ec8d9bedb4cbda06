from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "hiepdong.web"
    label = "web"

    def ready(self) -> None:
        """Tell `exchange`, which lies beside `regulations`, which pairs a regulation binds."""
        from hiepdong.exchange import sharing_policy
        from hiepdong.regulations import queries

        sharing_policy.install(queries.bound_among)
