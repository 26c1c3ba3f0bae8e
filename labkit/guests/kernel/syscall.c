/* System calls: the table, and the care that pointers from a program need. */
#include "syscall.h"

#include <stddef.h>

#include "console.h"
#include "frames.h"
#include "layout.h"
#include "memory.h"
#include "paging.h"
#include "pit.h"
#include "process.h"
#include "report.h"
#include "scheduler.h"
#include "segments.h"
#include "syscall_numbers.h"
#include "terminal.h"
#include "x86.h"

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176

extern void sysenter_entry(void); /* vectors.S */

void sysenter_init(void)
{
    write_msr(MSR_SYSENTER_CS, KERNEL_CS);
    write_msr(MSR_SYSENTER_ESP, kernel_stack_pointer_address());
    write_msr(MSR_SYSENTER_EIP, (uint32_t)sysenter_entry);
}

/* A program may pass any address. One in the kernel's part must be refused, or ring 3 could read and write
 * the kernel through us. One that is not mapped faults, and page_fault.c ends the program. */
static bool is_user_range(uint32_t address, uint32_t size)
{
    return address < KERNEL_BASE && size <= KERNEL_BASE - address;
}

static bool copy_string(char *to, uint32_t from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!is_user_range(from + i, 1))
            return false;
        to[i] = *(const char *)(from + i);
        if (!to[i])
            return true;
    }
    return false;
}

static int sys_exit(struct trap_frame *frame)
{
    process_exit((int)frame->ebx);
}

static int sys_fork(struct trap_frame *frame)
{
    return process_fork(frame);
}

static int sys_read(struct trap_frame *frame)
{
    if (!is_user_range(frame->esi, frame->edi))
        return -1;
    return (int)terminal_read((char *)frame->esi, frame->edi);
}

static int sys_write(struct trap_frame *frame)
{
    if (!is_user_range(frame->esi, frame->edi))
        return -1;
    terminal_write((const char *)frame->esi, frame->edi);
    return (int)frame->edi;
}

static int sys_exec(struct trap_frame *frame)
{
    char name[16], arguments[128]; /* copied: the memory they are in is about to go */
    if (!copy_string(name, frame->ebx, sizeof name) || !copy_string(arguments, frame->esi, sizeof arguments))
        return -1;
    return process_exec(frame, name, arguments);
}

static int sys_wait(struct trap_frame *frame)
{
    int status = 0;
    if (!is_user_range(frame->esi, sizeof status))
        return -1;
    int pid = process_wait(frame->ebx, frame->edi != 0, &status);
    if (pid > 0)
        memcpy((void *)frame->esi, &status, sizeof status);
    return pid;
}

static int sys_getpid(struct trap_frame *frame)
{
    (void)frame;
    return (int)current->pid;
}

static int sys_yield(struct trap_frame *frame)
{
    (void)frame;
    yield();
    return 0;
}

static int sys_sleep(struct trap_frame *frame)
{
    sleep_until(ticks + (frame->ebx + MS_PER_TICK - 1) / MS_PER_TICK);
    return 0;
}

static int sys_sbrk(struct trap_frame *frame)
{
    uint32_t start = current->heap_end;
    if (frame->ebx > USER_HEAP_LIMIT - start)
        return -1;
    current->heap_end += frame->ebx; /* a promise: the frames come with the page faults */
    return (int)start;
}

static int sys_uptime(struct trap_frame *frame)
{
    (void)frame;
    return (int)(ticks * MS_PER_TICK);
}

static int sys_kill(struct trap_frame *frame)
{
    return process_kill(frame->ebx);
}

static int sys_report(struct trap_frame *frame)
{
    if (!is_user_range(frame->esi, frame->edi))
        return -1;
    return (int)report(frame->ebx, (char *)frame->esi, frame->edi);
}

static int sys_halt(struct trap_frame *frame)
{
    (void)frame;
    halt();
}

static int sys_share(struct trap_frame *frame)
{
    (void)frame;
    entry_t *pte = page_table_entry(current->directory, USER_SHARED);
    if (pte && (*pte & PTE_PRESENT))
        return (int)USER_SHARED;
    uint32_t shared = frame_allocate();
    if (!shared || !map_page(current->directory, USER_SHARED, shared, PTE_WRITABLE | PTE_SHARED))
        return -1;
    return (int)USER_SHARED;
}

static int sys_detach(struct trap_frame *frame)
{
    (void)frame;
    current->background = true;
    return 0;
}

static int (*const table[SYSCALL_COUNT])(struct trap_frame *) = {
    [SYS_EXIT] = sys_exit,     [SYS_FORK] = sys_fork,     [SYS_READ] = sys_read,
    [SYS_WRITE] = sys_write,   [SYS_EXEC] = sys_exec,     [SYS_WAIT] = sys_wait,
    [SYS_GETPID] = sys_getpid, [SYS_YIELD] = sys_yield,   [SYS_SLEEP] = sys_sleep,
    [SYS_SBRK] = sys_sbrk,     [SYS_UPTIME] = sys_uptime, [SYS_KILL] = sys_kill,
    [SYS_REPORT] = sys_report, [SYS_HALT] = sys_halt,     [SYS_SHARE] = sys_share,
    [SYS_DETACH] = sys_detach,
};

void syscall(struct trap_frame *frame)
{
    uint32_t number = frame->eax;
    if (number >= SYSCALL_COUNT || !table[number]) {
        frame->eax = (uint32_t)-1;
        return;
    }
    int result = table[number](frame);
    if (number != SYS_EXEC || result < 0) /* a successful exec has filled the frame for the new program */
        frame->eax = (uint32_t)result;
}
