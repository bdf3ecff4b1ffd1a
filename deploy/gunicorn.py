"""How gunicorn serves the web: gevent, many open streams in each process."""

from pathlib import Path

from app.settings import settings

_now = settings()
_memory = Path("/dev/shm")  # noqa: S108

wsgi_app = "app.main:wsgi()"
bind = f"[{_now.host}]:{_now.port}" if ":" in _now.host else f"{_now.host}:{_now.port}"
backlog = 2048
workers = _now.web_processes
worker_class = "app.web.server.Worker"
worker_connections = 4096
# On a disk, the heartbeat file of a worker can block it long enough to be taken for dead.
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
timeout = 60
graceful_timeout = 5
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = "warning"
