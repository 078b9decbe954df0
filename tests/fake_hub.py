"""A model hub on this machine: as much of the real one's interface as its client needs to fetch a repository."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class FakeHub:
    """Repositories as folders, served over HTTP.

    Attributes:
        revisions: repository -> name of a revision -> commit.
        folders: commit -> folder of its files.
        gated: repositories whose files are refused.
    """

    def __init__(self) -> None:
        self.revisions: dict[str, dict[str, str]] = {}
        self.folders: dict[str, Path] = {}
        self.gated: set[str] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo: str, commit: str, folder: Path, *names: str) -> None:
        """Put a commit into a repository; branches and tags of these names move to it."""
        self.folders[commit] = folder
        self.revisions.setdefault(repo, {}).update({name: commit for name in (*names, commit)})

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = [unquote(part) for part in urlsplit(request.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            parts = parts[2:]
        parts += ["revision", "main"][len(parts) - 2 :]  # of a repository without more words, its default branch
        (owner, name, what, revision), file = parts[:4], "/".join(parts[4:])
        repo = f"{owner}/{name}"
        if repo not in self.revisions:
            return self.refuse(request, 404, "RepoNotFound")
        if repo in self.gated and what == "resolve":
            return self.refuse(request, 403, "GatedRepo")
        if revision not in self.revisions[repo]:
            return self.refuse(request, 404, "RevisionNotFound")
        commit = self.revisions[repo][revision]
        files = {path.name: path for path in sorted(self.folders[commit].iterdir())}
        if what == "resolve" and file not in files:
            return self.refuse(request, 404, "EntryNotFound")
        if what == "resolve":
            return self.send(request, files[file].read_bytes(), commit)
        if what == "tree":
            tree = [{"type": "file", "path": n, "size": p.stat().st_size, "oid": "0" * 40} for n, p in files.items()]
            return self.send(request, json.dumps(tree).encode(), commit)
        about = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        return self.send(request, json.dumps(about).encode(), commit)

    @staticmethod
    def send(request, content: bytes, commit: str) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("X-Repo-Commit", commit)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)

    @staticmethod
    def refuse(request, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("X-Error-Message", code)
        request.send_header("Content-Length", "0")
        request.end_headers()
