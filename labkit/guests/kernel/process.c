/* The life of a process: fork makes it, exec gives it a program, exit ends it, wait collects what is left. */
#include "process.h"

#include <stddef.h>

#include "address_space.h"
#include "elf.h"
#include "frames.h"
#include "memory.h"
#include "paging.h"
#include "scheduler.h"
#include "x86.h"

#define FIRST_PID 1 /* the shell: it outlives every Ctrl-C */
#define EFLAGS_INITIAL 0x202 /* IF, and bit 1, which is always 1 */

struct process processes[MAX_PROCESSES]; /* number 0 is the idle process */
struct process *current = processes;
static uint32_t last_pid;

void process_init(void)
{
    processes[0].state = READY;
    string_copy(processes[0].name, "idle", sizeof processes[0].name);
}

static struct process *allocate(void)
{
    for (struct process *p = processes + 1; p < processes + MAX_PROCESSES; p++) {
        if (p->state != FREE)
            continue;
        memset(p, 0, sizeof *p);
        p->kernel_stack = frame_allocate();
        p->parent = current->pid;
        return p->kernel_stack ? p : NULL;
    }
    return NULL;
}

static uint32_t kernel_stack_top(const struct process *p)
{
    return (uint32_t)direct_map(p->kernel_stack) + PAGE_SIZE;
}

/* Lay out a new kernel stack as if the process had trapped and then been switched away from:
 *
 *   top -> | trap frame | address of trap_return | EBX ESI EDI EBP (any values) | <- kernel_esp
 */
static void start_at(struct process *p, const struct trap_frame *frame)
{
    struct trap_frame *copy = (struct trap_frame *)kernel_stack_top(p) - 1;
    *copy = *frame;
    uint32_t *stack = (uint32_t *)copy;
    *--stack = (uint32_t)trap_return;
    p->kernel_esp = (uint32_t)(stack - 4);
    p->pid = ++last_pid;
    p->state = READY;
}

static void give_up(struct process *p)
{
    frame_release(p->kernel_stack);
    p->state = FREE;
}

int process_fork(const struct trap_frame *frame)
{
    struct process *child = allocate();
    if (!child)
        return -1;
    child->directory = address_space_fork(current->directory);
    if (!child->directory) {
        give_up(child);
        return -1;
    }
    string_copy(child->name, current->name, sizeof child->name);
    child->zero_start = current->zero_start;
    child->heap_end = current->heap_end;
    child->background = current->background;
    struct trap_frame copy = *frame;
    copy.eax = 0; /* fork's result in the child */
    start_at(child, &copy);
    return (int)child->pid;
}

/* ARGUMENTS go to the top of the new stack, and their address below, where the program's _start finds it. */
static bool push_arguments(uint32_t directory, const char *arguments, uint32_t *esp)
{
    uint32_t frame = frame_allocate();
    if (!frame || !map_page(directory, USER_STACK_TOP - PAGE_SIZE, frame, PTE_WRITABLE))
        return false;
    char *page = direct_map(frame);
    uint32_t size = (uint32_t)string_length(arguments) + 1;
    uint32_t at = (PAGE_SIZE - size) & ~15u;
    memcpy(page + at, arguments, size);
    uint32_t address = USER_STACK_TOP - PAGE_SIZE + at;
    memcpy(page + at - 4, &address, 4);
    *esp = address - 4;
    return true;
}

int process_exec(struct trap_frame *frame, const char *name, const char *arguments)
{
    struct program program;
    uint32_t esp, directory = address_space_create();
    if (!directory)
        return -1;
    if (!elf_load(directory, name, &program) || !push_arguments(directory, arguments, &esp)) {
        address_space_destroy(directory);
        return -1;
    }
    uint32_t old = current->directory;
    current->directory = directory;
    write_cr3(directory);
    if (old)
        address_space_destroy(old);
    string_copy(current->name, name, sizeof current->name);
    current->zero_start = program.zero_start;
    current->heap_end = program.end;
    *frame = (struct trap_frame){.gs = USER_DS, .fs = USER_DS, .es = USER_DS, .ds = USER_DS,
                                 .eip = program.entry, .cs = USER_CS, .eflags = EFLAGS_INITIAL,
                                 .esp = esp, .ss = USER_DS};
    return 0;
}

/* The first process has no parent to fork from: build it by hand, then leave the idle loop to run it. */
void process_start_first(const char *name)
{
    struct trap_frame frame;
    struct process *idle = current, *first = allocate();
    current = first;
    process_exec(&frame, name, "");
    start_at(first, &frame);
    current = idle;
    idle_loop();
}

static struct process *find(uint32_t pid)
{
    for (struct process *p = processes + 1; p < processes + MAX_PROCESSES; p++)
        if (p->state != FREE && p->pid == pid)
            return p;
    return NULL;
}

void process_exit(int status)
{
    write_cr3(physical_of(kernel_page_directory)); /* we are about to free the one in use */
    address_space_destroy(current->directory);
    current->directory = 0;
    current->status = status;
    current->state = ZOMBIE; /* its kernel stack is in use until we have left it: wait frees that */
    for (struct process *p = processes + 1; p < processes + MAX_PROCESSES; p++)
        if (p->state != FREE && p->parent == current->pid)
            p->parent = FIRST_PID; /* orphans */
    struct process *parent = find(current->parent);
    if (parent)
        wake(parent);
    for (;;)
        schedule();
}

/* PID 0 waits for any child. Returns the pid, 0 if none has ended yet, -1 if there is none. */
int process_wait(uint32_t pid, bool block, int *status)
{
    for (;;) {
        bool any = false;
        for (struct process *p = processes + 1; p < processes + MAX_PROCESSES; p++) {
            if (p->state == FREE || p->parent != current->pid || (pid && p->pid != pid))
                continue;
            any = true;
            if (p->state == ZOMBIE) {
                *status = p->status;
                give_up(p);
                return (int)p->pid;
            }
        }
        if (!any)
            return -1;
        if (!block)
            return 0;
        sleep_on(current);
    }
}

int process_kill(uint32_t pid)
{
    struct process *p = find(pid);
    if (!p || pid == FIRST_PID || p->state == ZOMBIE)
        return -1;
    p->killed = true;
    if (p->state == WAITING)
        p->state = READY; /* so that it runs, sees the flag, and ends */
    return 0;
}

void kill_foreground(void)
{
    for (struct process *p = processes + 1; p < processes + MAX_PROCESSES; p++)
        if (p->state != FREE && !p->background)
            process_kill(p->pid);
}
