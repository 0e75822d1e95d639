# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Do to one thread of a running program what usually happens only to all of it: stop it, end it.

By ptrace(2): PTRACE_SEIZE and PTRACE_INTERRUPT stop one thread and leave the others running (SIGSTOP
stops the whole program). To end one, its next instruction is made the system call exit(2), which
ends the thread that calls it. x86-64 only, as all of this.
"""
import ctypes
import os

PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 7, 12, 13, 17
PTRACE_SETSIGINFO = 0x4203
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # __WALL: wait for threads as well
SYS_EXIT = 60
SYSCALL_BYTES = 2  # of the instruction
SIGBUS, BUS_MCEERR_AR = 7, 4
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
             "fs_base gs_base ds es fs gs").split()

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in REGISTERS]


class SignalInfo(ctypes.Structure):
    """siginfo_t of a fault, as far as anybody looks at it."""
    _fields_ = [("number", ctypes.c_int), ("error", ctypes.c_int), ("code", ctypes.c_int),
                ("pad", ctypes.c_int), ("address", ctypes.c_ulonglong), ("rest", ctypes.c_char * 104)]


def ptrace(request, tid, data=None):
    if libc.ptrace(request, tid, None, ctypes.cast(data, ctypes.c_void_p) if data else None) < 0:
        error = ctypes.get_errno()
        raise OSError(error, "ptrace %#x: %s" % (request, os.strerror(error)))


def find(pid, name):
    """The thread of @pid called @name."""
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/comm" % (pid, tid)) as file:
            if file.read().strip() == name:
                return int(tid)
    raise AssertionError("process %d has no thread called %s" % (pid, name))


def seize(tid):
    ptrace(PTRACE_SEIZE, tid)


def stop(tid):
    """After seize(): it stands still until go() or detach()."""
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)


def detach(tid):
    ptrace(PTRACE_DETACH, tid)


def detach_stopped(tid):
    """After seize(): let it alone. Only who is stopped can be detached."""
    stop(tid)
    detach(tid)


def reap(tid):
    """A program whose thread we still hold has not quite ended before we were told of the thread's end."""
    try:
        os.waitpid(tid, WALL)
    except ChildProcessError:
        pass


def end(tid):
    """After stop(), in a system call that it sleeps in: the thread calls exit(0)."""
    registers = Registers()
    ptrace(PTRACE_GETREGS, tid, ctypes.pointer(registers))
    registers.rip -= SYSCALL_BYTES
    registers.rax, registers.rdi = SYS_EXIT, 0
    registers.orig_rax = 2 ** 64 - 1  # nothing to restart
    ptrace(PTRACE_SETREGS, tid, ctypes.pointer(registers))
    ptrace(PTRACE_DETACH, tid)


def lose_memory(pid, tid, address):
    """After seize(): the thread gets the signal of memory at @address that the hardware lost."""
    import signal
    libc.tgkill(pid, tid, signal.SIGBUS)
    os.waitpid(tid, WALL)
    info = SignalInfo(number=SIGBUS, code=BUS_MCEERR_AR, address=address)
    ptrace(PTRACE_SETSIGINFO, tid, ctypes.pointer(info))
    if libc.ptrace(PTRACE_DETACH, tid, None, ctypes.c_void_p(SIGBUS)) < 0:
        raise OSError(ctypes.get_errno(), "ptrace: detach with SIGBUS")
