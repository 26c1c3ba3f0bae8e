/* A trap is any entry into the kernel: exception, interrupt, system call. All leave the same frame. */
#ifndef TRAP_H
#define TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* On the kernel stack, lowest address first; the order is that of the pushes in vectors.S, backwards. */
struct trap_frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax; /* PUSHA */
    uint32_t vector, error;
    uint32_t eip, cs, eflags; /* pushed by the processor */
    uint32_t esp, ss;         /* pushed by the processor too, but only when it came from ring 3 */
};

static inline bool from_user(const struct trap_frame *frame)
{
    return (frame->cs & 3) == 3;
}

void idt_init(void);
void trap(struct trap_frame *frame);

#endif
