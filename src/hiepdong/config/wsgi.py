"""The WSGI entry of a node."""

import os

from django.core.wsgi import get_wsgi_application

from hiepdong.shell.commands import refuse_half_node

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hiepdong.config.settings")
refuse_half_node()  # a front server may start this module without `hiepdong serve`
application = get_wsgi_application()
