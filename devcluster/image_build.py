#!/usr/bin/env python3
"""image_build.py FOLDER busybox|nodered|nodered4...: container images made by hand. Busybox brings the pause image along.
image_build.py FOLDER --on BASE.tar RECIPE: an image that is BASE with one more layer. The recipe is JSON:
    {"file": NAME, "tag": TAG, "config": {...}, "put": [{"to": PATH, "from": FILE OR FOLDER, "libraries": BOOL}...]}
    Its config goes over BASE's, field by field; with libraries, a program brings its shared ones along.

A docker-archive tar needs no registry, no engine and no network beyond npm's, and the same input makes the same bytes.
Writes FOLDER/NAME.tar for each.
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
    """One layer of an image. Owners and times are fixed, for the same bytes every time."""

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

    def libraries(self, program):
        seen = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in sorted({word for word in seen.split() if word.startswith("/")}):
            self.file(library, library)

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

    def close(self):
        """Its digest and the file that holds it: what `archive` takes."""
        self.tar.close()
        digest = hashlib.sha256()
        with open(self.path, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        return digest.hexdigest(), self.path


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


def archive(folder, file, tag, layers, config):
    """An image of (digest, path) layers, the lowest first."""
    config = json.dumps({
        "architecture": ARCHITECTURE, "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest, _ in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }, sort_keys=True).encode()
    identity = hashlib.sha256(config).hexdigest()
    names = [digest + "/layer.tar" for digest, _ in layers]
    manifest = [{"Config": identity + ".json", "RepoTags": [tag], "Layers": names}]
    unfinished = f"{folder}/.{file}.tar"
    with tarfile.open(unfinished, "w") as tar:
        for name, content in (("manifest.json", json.dumps(manifest).encode()), (identity + ".json", config)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, (_, path) in zip(names, layers):
            tar.add(path, name)
    os.rename(unfinished, f"{folder}/{file}.tar")
    print(f"{tag}: {os.path.getsize(f'{folder}/{file}.tar') / 1e6:.1f} MB, sha256:{identity[:12]}", flush=True)


def unpack(base, work):
    """The layers of an image made here, and its config."""
    with tarfile.open(base) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]
        config = json.load(tar.extractfile(manifest["Config"]))["config"]
        layers = []
        for name in manifest["Layers"]:
            path = f"{work}/{len(layers)}.layer"
            with open(path, "wb") as file:
                shutil.copyfileobj(tar.extractfile(name), file, 1 << 20)
            layers.append((os.path.dirname(name), path))
    return layers, config


def layered(folder, work, base, recipe):
    layers, config = unpack(base, work)
    layer = Layer(f"{work}/top.layer")
    for put in recipe["put"]:
        if os.path.isdir(put["from"]):
            layer.dir(put["to"])
            layer.tree(put["to"], put["from"])
        else:
            layer.file(put["to"], put["from"])
        if put.get("libraries"):
            layer.libraries(put["from"])
    archive(folder, recipe["file"], recipe["tag"], [*layers, layer.close()], {**config, **recipe["config"]})


def busybox(folder, work):
    layer = Layer(f"{work}/busybox.layer")
    base(layer)
    layers = [layer.close()]
    archive(folder, "busybox", "localhost/busybox:1", layers, {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]})
    archive(folder, "pause", "localhost/pause:1", layers,
            {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"], "User": "65534:65534"})


def npm(folder, package):
    os.makedirs(folder)
    with open(f"{folder}/package.json", "w") as file:
        file.write('{"private": true}')
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--omit=dev", package], cwd=folder, check=True)


def nodered(folder, work, file="nodered", tag="5", version="5", runs_on="22"):
    npm(f"{work}/nodered", f"node-red@{version}")
    npm(f"{work}/node", f"node@{runs_on}")
    node = f"{work}/node/node_modules/node/bin/node"
    layer = Layer(f"{work}/nodered.layer")
    base(layer)
    layer.file("/usr/local/bin/node", node)
    layer.libraries(node)
    layer.tree("/usr/src/node-red", f"{work}/nodered")
    layer.dir("/data", 0o775, 1000)
    archive(folder, file, f"localhost/node-red:{tag}", [layer.close()], {
        "User": "1000:1000", "WorkingDir": "/usr/src/node-red", "ExposedPorts": {"1880/tcp": {}},
        "Env": ["PATH=/usr/local/bin:/bin", "NODE_PATH=/usr/src/node-red/node_modules:/data/node_modules", "HOME=/data"],
        "Entrypoint": ["node", "node_modules/node-red/red.js", "--userDir", "/data"]})


def nodered4(folder, work):
    nodered(folder, work, "nodered4", "4", "4.1", "20")


def main():
    folder, *names = sys.argv[1:] or sys.exit(__doc__)
    base = recipe = None
    if names[:1] == ["--on"]:
        base, recipe = names[1], json.loads(names[2])
        names = [recipe["file"]]
    for name in names:
        work = f"{folder}/.work-{name}"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        if recipe:
            layered(folder, work, base, recipe)
        else:
            {"busybox": busybox, "nodered": nodered, "nodered4": nodered4}[name](folder, work)
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
