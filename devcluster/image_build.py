#!/usr/bin/env python3
"""image_build.py FOLDER busybox|nodered...: container images made by hand.

A docker-archive tar needs no registry, no engine and no network beyond npm's, and the same input makes the same bytes.
Writes FOLDER/NAME.tar for each; busybox brings the pause image along.
"""
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile

APPLETS = """awk cat cp cut date df echo env false find grep head httpd id kill ln ls md5sum mkdir mv nc od ps readlink rm
sed seq sh sha256sum sleep sort stat tail test top touch tr true usleep wc""".split()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class Layer:
    """The one layer of an image. Owners and times are fixed, for the same bytes every time."""

    def __init__(self, path):
        self.path = path
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)
        self.dirs = set()

    def entry(self, path, mode, uid=0, kind=tarfile.REGTYPE):
        self.dir(os.path.dirname(path))
        info = tarfile.TarInfo(path.strip("/"))
        info.mode, info.uid, info.gid, info.type = mode, uid, uid, kind
        return info

    def dir(self, path, mode=0o755, uid=0):
        path = path.strip("/")
        if path and path not in self.dirs:
            info = self.entry(path, mode, uid, tarfile.DIRTYPE)
            self.dirs.add(path)
            self.tar.addfile(info)

    def text(self, path, text):
        info = self.entry(path, 0o644)
        info.size = len(text)
        self.tar.addfile(info, io.BytesIO(text.encode()))

    def file(self, path, source):
        source = os.path.realpath(source)
        status = os.stat(source)
        info = self.entry(path, status.st_mode & 0o755 | 0o444)
        info.size = status.st_size
        with open(source, "rb") as content:
            self.tar.addfile(info, content)

    def link(self, path, target):
        info = self.entry(path, 0o777, kind=tarfile.SYMTYPE)
        info.linkname = target
        self.tar.addfile(info)

    def tree(self, path, source):
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            below = f"{path}/{entry.name}"
            if entry.is_symlink():
                self.link(below, os.readlink(entry.path))
            elif entry.is_dir():
                self.dir(below)
                self.tree(below, entry.path)
            else:
                self.file(below, entry.path)

    def digest(self):
        self.tar.close()
        digest = hashlib.sha256()
        with open(self.path, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def base(layer):
    busybox = shutil.which("busybox", path="/bin:/usr/bin") or sys.exit("busybox is missing: apt-get install busybox-static")
    layer.file("/bin/busybox", busybox)
    for applet in APPLETS:
        layer.link("/bin/" + applet, "busybox")
    users = (("root", 0, "/root"), ("node-red", 1000, "/data"), ("nobody", 65534, "/"))
    layer.text("/etc/passwd", "".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, uid, home in users))
    layer.text("/etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid, _ in users))
    layer.text("/etc/nsswitch.conf", "hosts: files dns\n")
    layer.dir("/tmp", 0o1777)
    layer.dir("/root", 0o700)
    for path in ("/proc", "/sys", "/dev"):
        layer.dir(path)


def archive(folder, file, tag, layer, digest, config):
    config = json.dumps({
        "architecture": ARCHITECTURE, "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    }, sort_keys=True).encode()
    identity = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": identity + ".json", "RepoTags": [tag], "Layers": [digest + "/layer.tar"]}]
    unfinished = f"{folder}/.{file}.tar"
    with tarfile.open(unfinished, "w") as tar:
        for name, content in (("manifest.json", json.dumps(manifest).encode()), (identity + ".json", config)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.add(layer.path, digest + "/layer.tar")
    os.rename(unfinished, f"{folder}/{file}.tar")
    print(f"{tag}: {os.path.getsize(f'{folder}/{file}.tar') / 1e6:.1f} MB, sha256:{identity[:12]}", flush=True)


def busybox(folder, work):
    layer = Layer(f"{work}/busybox.layer")
    base(layer)
    digest = layer.digest()
    archive(folder, "busybox", "localhost/busybox:1", layer, digest, {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})
    archive(folder, "pause", "localhost/pause:1", layer, digest,
            {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"], "User": "65534:65534"})


def npm(folder, package):
    os.makedirs(folder)
    with open(f"{folder}/package.json", "w") as file:
        file.write('{"private": true}')
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--omit=dev", package], cwd=folder, check=True)


def nodered(folder, work):
    npm(f"{work}/nodered", "node-red@5")
    npm(f"{work}/node", "node@22")
    node = f"{work}/node/node_modules/node/bin/node"
    layer = Layer(f"{work}/nodered.layer")
    base(layer)
    layer.file("/usr/local/bin/node", node)
    libraries = subprocess.run(["ldd", node], capture_output=True, text=True, check=True).stdout
    for library in {word for word in libraries.split() if word.startswith("/")}:
        layer.file(library, library)
    layer.tree("/usr/src/node-red", f"{work}/nodered")
    layer.dir("/data", 0o775, 1000)
    archive(folder, "nodered", "localhost/node-red:5", layer, layer.digest(), {
        "User": "1000:1000", "WorkingDir": "/usr/src/node-red", "ExposedPorts": {"1880/tcp": {}},
        "Env": ["PATH=/usr/local/bin:/bin", "NODE_PATH=/usr/src/node-red/node_modules:/data/node_modules", "HOME=/data"],
        "Entrypoint": ["node", "node_modules/node-red/red.js", "--userDir", "/data"]})


def main():
    folder, *names = sys.argv[1:] or sys.exit(__doc__)
    for name in names:
        work = f"{folder}/.work-{name}"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        {"busybox": busybox, "nodered": nodered}[name](folder, work)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
