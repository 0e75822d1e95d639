# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the lab needs, made once and kept outside the tree.

Two stock Debian kernels (one is the lab host's, one the guests'), taken from their packages as they
are; the ELF inside the guests' bzImage; and two small initrds of busybox and kernel modules. They
lie in ${XDG_CACHE_HOME:-~/.cache}/neap-lab and are made again when what they come from changed.
Nothing is installed.
"""
import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "neap-lab")

# Meta packages of Debian; the kernels are what they depend on.
PACKAGES = {"host": "linux-image-amd64", "guest": "linux-image-cloud-amd64"}

# What is wanted; what those depend on comes before them.
MODULES = {"host": "virtio_pci 9pnet_virtio 9p virtio_blk crc32c_generic ext4 kvm-amd".split(),
           "guest": "virtio_mmio virtio_balloon virtio_console virtio-rng evdev button".split()}


class Missing(Exception):
    """The lab cannot run on this machine; the text says why and what to do."""


def path(*parts):
    return os.path.join(CACHE, *parts)


def one(pattern):
    found = sorted(glob.glob(pattern))
    if not found:
        raise Missing(f"{pattern}: not found; remove {CACHE} and run again")
    return found[-1]


def kernel(role):
    return one(path(role, "boot", "vmlinuz-*"))


def need(program, package):
    found = shutil.which(program)
    if not found:
        raise Missing(f"{program} is not here (Debian package {package})")
    return found


def fetch(role, say):
    """Download and unpack the package that the meta package stands for, once."""
    if glob.glob(path(role, "boot", "vmlinuz-*")):
        return
    need("apt-get", "apt")
    text = subprocess.run(["apt-cache", "depends", PACKAGES[role]], capture_output=True, text=True,
                          check=False).stdout
    names = re.findall(r"Depends: (linux-image-\S+)", text)
    if not names:
        raise Missing(f"apt knows no {PACKAGES[role]}: run apt-get update on a Debian 12 machine")
    os.makedirs(path("debs"), exist_ok=True)
    say(f"downloading {names[0]}")
    got = subprocess.run(["apt-get", "-q", "download", names[0]], cwd=path("debs"),
                         capture_output=True, text=True, check=False)
    if got.returncode:
        raise Missing(f"apt-get download {names[0]}: {got.stderr.strip()}")
    deb = one(path("debs", f"{names[0]}_*.deb"))
    unpacked = path(role + ".new")
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["dpkg", "-x", deb, unpacked], check=True)
    shutil.rmtree(path(role), ignore_errors=True)
    os.rename(unpacked, path(role))
    os.unlink(deb)


def extract_elf(bzimage):
    """The ELF in a bzImage: its payload, LZ4 (legacy frames) or XZ, with its length behind it."""
    image = open(bzimage, "rb").read()
    setup_sects = image[0x1f1]
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sects + 1) * 512 + offset
    payload = image[start:start + length]
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(payload)
    if payload[:4] == b"\x02\x21\x4c\x18":
        # The 4 bytes after the last block are the uncompressed length, which lz4 would take for one.
        done = subprocess.run([need("lz4", "lz4"), "-dc"], input=payload[:-4], capture_output=True,
                              check=True)
        return done.stdout
    raise Missing(f"{bzimage}: its payload is neither LZ4 nor XZ")


class Initrd:
    """A newc cpio archive, written without root and without cpio(1)."""

    def __init__(self):
        self.parts, self.inode = [], 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        for part in (head, data):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def directory(self, name):
        self.add(name, 0o040755)

    def file(self, name, source, mode=0o100755):
        with open(source, "rb") as f:
            self.add(name, mode, f.read())

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def make_initrd(role):
    """busybox with its applets as links, the role's modules, and tests/lab/ROLE-init as /init."""
    busybox = need("busybox", "busybox-static")
    if b"/lib64/ld-linux" in open(busybox, "rb").read(8192):
        raise Missing(f"{busybox} needs shared libraries: install Debian's busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout
    initrd = Initrd()
    for name in "bin dev proc sys tmp run modules mnt".split():
        initrd.directory(name)
    initrd.add("dev/console", 0o020600, device=(5, 1))
    initrd.add("dev/null", 0o020666, device=(1, 3))
    initrd.file("bin/busybox", busybox)
    for applet in applets.split():
        if applet != "busybox":
            initrd.link("bin/" + applet, "busybox")
    for index, source in enumerate(in_order(role)):
        initrd.file(f"modules/{index:02}-{os.path.basename(source)}", source, 0o100644)
    initrd.file("init", os.path.join(HERE, role + "-init"))
    return initrd.bytes()


def find_module(role, name):
    """Modules are named with - or _ as it pleases them."""
    pattern = re.sub("[-_]", "[-_]", name) + ".ko"
    found = glob.glob(path(role, "lib", "modules", "*", "kernel", "**", pattern), recursive=True)
    if not found:
        raise Missing(f"{name}.ko is not in {PACKAGES[role]}'s kernel")
    return found[0]


def in_order(role):
    """The files of MODULES[role], each after those it depends on (its own depends= says which)."""
    ordered = []

    def visit(name):
        source = find_module(role, name)
        if source in ordered:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", open(source, "rb").read()).group(1).decode()
        for below in filter(None, depends.split(",")):
            visit(below)
        ordered.append(source)

    for name in MODULES[role]:
        visit(name)
    return ordered


def write_if_new(name, stamp, make):
    """Make the file unless it was made from the same sources."""
    mark = path(name + ".stamp")
    if os.path.exists(path(name)) and os.path.exists(mark) and open(mark).read() == stamp:
        return
    data = make()
    with open(path(name) + ".new", "wb") as f:
        f.write(data)
    os.rename(path(name) + ".new", path(name))
    with open(mark, "w") as f:
        f.write(stamp)


def stamp_of(*files):
    digest = hashlib.sha256()
    for name in files:
        digest.update(open(name, "rb").read())
    return digest.hexdigest()


def make_disk(size_mib):
    """An empty file system for the lab host to write to, since swap files lie on a real one: an open
    file without a name, so that nothing is left behind."""
    disk = tempfile.TemporaryFile(dir=CACHE)
    disk.truncate(size_mib << 20)
    subprocess.run([need("mkfs.ext4", "e2fsprogs"), "-q", "-F", f"/proc/self/fd/{disk.fileno()}"],
                   pass_fds=[disk.fileno()], check=True)
    return disk


def prepare(say):
    os.makedirs(CACHE, exist_ok=True)
    for role in PACKAGES:
        fetch(role, say)
    me = os.path.abspath(__file__)
    busybox = need("busybox", "busybox-static")
    write_if_new("vmlinux", stamp_of(kernel("guest")), lambda: extract_elf(kernel("guest")))
    for role in PACKAGES:
        stamp = stamp_of(me, busybox, os.path.join(HERE, role + "-init"), kernel(role))
        write_if_new(role + "-initrd.cpio", stamp, lambda role=role: make_initrd(role))
