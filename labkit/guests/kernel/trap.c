/* What happens after the frame is on the stack: who gets which vector. */
#include "trap.h"

#include "console.h"
#include "layout.h"
#include "page_fault.h"
#include "pic.h"
#include "pit.h"
#include "process.h"
#include "scheduler.h"
#include "serial.h"
#include "syscall.h"

#define VECTOR_DEBUG 1
#define VECTOR_PAGE_FAULT 14
#define EFLAGS_TF (1 << 8)

static const char *const exception_names[] = {
    "divide error (#DE)",       "debug (#DB)",          "NMI",
    "breakpoint (#BP)",         "overflow (#OF)",       "bound range (#BR)",
    "invalid opcode (#UD)",     "no coprocessor (#NM)", "double fault (#DF)",
    "coprocessor overrun",      "invalid TSS (#TS)",    "segment not present (#NP)",
    "stack fault (#SS)",        "general protection (#GP)", "page fault (#PF)",
    "reserved",                 "floating point (#MF)", "alignment check (#AC)",
    "machine check (#MC)",      "SIMD (#XM)"};

static const char *exception_name(uint32_t vector)
{
    return vector < sizeof exception_names / sizeof *exception_names ? exception_names[vector] : "reserved";
}

/* A program's mistake ends the program; the kernel's own mistake ends everything. */
static void exception(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_DEBUG && !from_user(frame)) {
        frame->eflags &= ~(uint32_t)EFLAGS_TF; /* a program single-stepped into SYSENTER */
        return;
    }
    if (!from_user(frame))
        panic(frame, exception_name(frame->vector));
    print("%s[%u]: %s at eip %08x, killed\n", current->name, current->pid, exception_name(frame->vector),
          frame->eip);
    process_exit(128 + (int)frame->vector);
}

static void interrupt(struct trap_frame *frame)
{
    uint32_t irq = frame->vector - VECTOR_IRQ0;
    if (!pic_is_real(irq))
        return;
    if (irq == IRQ_SERIAL)
        serial_interrupt();
    pic_end_of_interrupt(irq);
    if (irq == IRQ_TIMER) {
        timer_tick();
        if (from_user(frame))
            yield(); /* preemption: the program did not ask for it */
    }
}

void trap(struct trap_frame *frame)
{
    if (frame->vector == VECTOR_SYSCALL || frame->vector == VECTOR_SYSENTER)
        syscall(frame);
    else if (frame->vector >= VECTOR_IRQ0)
        interrupt(frame);
    else if (frame->vector == VECTOR_PAGE_FAULT)
        page_fault(frame);
    else
        exception(frame);
    if (from_user(frame) && current->killed)
        process_exit(130);
}
