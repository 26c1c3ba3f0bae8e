/* The scheduler: round robin. Every tick of the timer the next process that is ready gets the processor. */
#include "scheduler.h"

#include <stddef.h>

#include "paging.h"
#include "pit.h"
#include "process.h"
#include "segments.h"
#include "x86.h"

uint32_t context_switches;

extern void switch_context(uint32_t *save_esp, uint32_t load_esp); /* switch.S */

static struct process *idle(void)
{
    return processes;
}

/* The next one after the current, in a circle; the idle process only if there is no other. */
static struct process *pick(void)
{
    uint32_t from = (uint32_t)(current - processes);
    for (uint32_t i = 1; i <= MAX_PROCESSES; i++) {
        struct process *p = processes + (from + i) % MAX_PROCESSES;
        if (p->state == READY && p != idle())
            return p;
    }
    return idle();
}

void schedule(void)
{
    struct process *previous = current, *next = pick();
    if (next == previous)
        return;
    context_switches++;
    current = next;
    if (next->directory) { /* the idle process is kernel only: any address space will do */
        set_kernel_stack((uint32_t)direct_map(next->kernel_stack) + PAGE_SIZE);
        if (read_cr3() != next->directory)
            write_cr3(next->directory);
    }
    switch_context(&previous->kernel_esp, next->kernel_esp);
}

void yield(void)
{
    schedule();
}

static void end_if_killed(void)
{
    if (current->killed)
        process_exit(130);
}

/* Channels: any address serves as the name of what is waited for. */
void sleep_on(const void *channel)
{
    current->channel = channel;
    current->state = WAITING;
    schedule();
    current->channel = NULL;
    end_if_killed();
}

void wake(const void *channel)
{
    for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
        if (p->state == WAITING && p->channel == channel)
            p->state = READY;
}

void sleep_until(uint32_t tick)
{
    current->wake_at = tick;
    while ((int32_t)(ticks - tick) < 0)
        sleep_on(&ticks);
}

void wake_sleepers(void)
{
    for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
        if (p->state == WAITING && p->channel == &ticks && (int32_t)(ticks - p->wake_at) >= 0)
            p->state = READY;
}

/* STI takes effect after the next instruction, so no interrupt can slip in between it and HLT. */
void idle_loop(void)
{
    for (;;) {
        schedule();
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}
