#!/usr/bin/env python3
"""node.py FOLDER: the init of a node in a box.

It is process 1 of fresh mount, PID and network namespaces; FOLDER/box.json says what to run in them. When it ends, the
kernel kills all other processes of the box, pods too, and drops every mount and network device.
"""
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request

BEGUN = time.time()


def say(*words):
    print(f"{time.time() - BEGUN:7.3f}", *words, flush=True)


def run(*words):
    subprocess.run(words, check=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def wait(what, ready, seconds=60):
    end = time.time() + seconds
    while not ready():
        if time.time() > end:
            sys.exit(f"never: {what}")
        time.sleep(0.02)
    say(what)


def mounts(folder):
    """The host's files stay as they are: what a node writes outside of FOLDER lands on file systems of the box."""
    run("mount", "--make-rshared", "/")  # the kubelet's volumes have to reach the pods
    for path in ("/run", "/var/lib", "/var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    for path in ("/run/containerd", "/run/netns", "/run/lock", "/var/lib/cni", "/var/log/containers"):
        os.makedirs(path)
    for name, path in (("kubelet", "/var/lib/kubelet"), ("pod-logs", "/var/log/pods")):
        os.makedirs(f"{folder}/{name}")
        os.makedirs(path)
        run("mount", "--bind", f"{folder}/{name}", path)
    # The kubelet insists on these; it is shown the values it wants, and the real ones stay.
    for name, value in (("vm/overcommit_memory", 1), ("kernel/panic", 10), ("kernel/panic_on_oops", 1)):
        file = f"{folder}/sysctl-{os.path.basename(name)}"
        write(file, f"{value}\n")
        run("mount", "--bind", file, f"/proc/sys/{name}")


def network(box):
    """One bridge for the node, its pods and, by a veth pair, the host."""
    peer = box["device"] + "p"
    # Asked of `ip`, because /sys shows the devices of the host.
    there = ["ip", "link", "show", peer]
    wait("the host's end of the network", lambda: subprocess.run(there, capture_output=True).returncode == 0)
    # An address of its own: else it has the lowest of its ports', which moves when a pod joins, and until the host asks
    # again where the node is (half a minute) it reaches nothing there.
    for words in ("link set lo up", "link add br0 address 02:53:50:41:43:45 type bridge",
                  "link set br0 type bridge forward_delay 0", f"link set {peer} master br0",
                  f"addr add {box['address']}/24 dev br0", f"link set {peer} up", "link set br0 up", f"route add {box['services']} dev br0"):
        run("ip", *words.split())
    write("/proc/sys/net/ipv4/ip_forward", "1")  # of this network namespace only


def start(folder, name, words):
    with open(f"{folder}/{name}.log", "ab") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    write(f"{folder}/{name}.pid", str(process.pid))
    say("started", name)
    return process.pid


def api_server_ready(box, folder):
    trusted = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    request = urllib.request.Request(box["url"] + "/readyz", headers={"Authorization": "Bearer " + box["token"]})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))

    def ready():
        try:
            return direct.open(request, timeout=5).status == 200
        except OSError:
            return False

    return ready


def main():
    folder, = sys.argv[1:] or sys.exit(__doc__)
    with open(f"{folder}/box.json") as file:
        box = json.load(file)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    mounts(folder)
    network(box)
    running = {start(folder, name, words): name for name, words in box["first"].items()}
    ctr = ["ctr", "-a", box["containerd"], "-n", "k8s.io"]
    wait("containerd", lambda: subprocess.run([*ctr, "version"], capture_output=True).returncode == 0)
    imports = [subprocess.Popen([*ctr, "images", "import", tar], stdout=subprocess.DEVNULL) for tar in box["images"]]
    wait("the API server", api_server_ready(box, folder))
    running |= {start(folder, name, words): name for name, words in box["then"].items()}
    for tar, done in zip(box["images"], imports):
        if done.wait() != 0:
            sys.exit(f"cannot import {tar}")
    say("images imported")
    write(f"{folder}/started", "")
    while True:  # the duty of process 1: orphans are its children
        pid, status = os.wait()
        name = running.pop(pid, None)
        if name:
            say(name, "ended with", os.waitstatus_to_exitcode(status))
        if name == "kubelet":  # as on every node: something starts it again
            running[start(folder, name, box["then"][name])] = name


main()
