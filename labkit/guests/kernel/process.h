/* A process: an address space, a kernel stack, and a saved place to go on. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "trap.h"

#define MAX_PROCESSES 16

enum process_state { FREE, READY, WAITING, ZOMBIE };

struct process {
    enum process_state state;
    uint32_t pid, parent;
    char name[16];
    uint32_t kernel_esp;   /* where switch_context left off */
    uint32_t kernel_stack; /* physical address of its frame */
    uint32_t directory;    /* physical address of the page directory; 0: the idle process has none */
    uint32_t zero_start;   /* [zero_start, heap_end): pages of zeros on demand (bss and heap) */
    uint32_t heap_end;
    const void *channel; /* what it waits for */
    uint32_t wake_at;    /* tick at which a sleeper goes on */
    uint32_t ticks, faults;
    int status;      /* from exit, for wait */
    bool killed;     /* ends before it next returns to ring 3 */
    bool background; /* Ctrl-C does not reach it */
};

extern struct process processes[MAX_PROCESSES];
extern struct process *current;

void process_init(void);
void process_start_first(const char *program) __attribute__((noreturn));
int process_fork(const struct trap_frame *frame);
int process_exec(struct trap_frame *frame, const char *name, const char *arguments);
void process_exit(int status) __attribute__((noreturn));
int process_wait(uint32_t pid, bool block, int *status);
int process_kill(uint32_t pid);
void kill_foreground(void);

#endif
