/* IDT: which code runs for which vector.
 *
 * Gate descriptor (Intel SDM vol. 3A, 6.11):
 *   63          48 47 46 45 44 43  40 39      32 31          16 15           0
 *  | offset       | P| DPL | 0| type | 0        | selector     | offset       |
 *  | 31..16       |  |     |  |      |          |              | 15..0        |
 *   type E = 32-bit interrupt gate: clears IF on entry. DPL = least privilege that may use INT n on it.
 * Every gate here is an interrupt gate: the kernel runs with interrupts off, so it needs no locks.
 */
#include <stdint.h>

#include "layout.h"
#include "trap.h"

#define INTERRUPT_GATE 0xE

static uint64_t idt[256];
extern const uint32_t vector_table[]; /* vectors.S: entry points of vectors 0 to 47 */
extern void vector_syscall(void);

static uint64_t gate(uint32_t offset, uint32_t privilege)
{
    uint32_t low = KERNEL_CS << 16 | (offset & 0xFFFF);
    uint32_t high = (offset & 0xFFFF0000) | 1 << 15 | privilege << 13 | INTERRUPT_GATE << 8;
    return (uint64_t)high << 32 | low;
}

void idt_init(void)
{
    for (uint32_t vector = 0; vector < 48; vector++)
        idt[vector] = gate(vector_table[vector], 0);
    idt[3] = gate(vector_table[3], 3); /* INT3 and INTO are for programs to use */
    idt[4] = gate(vector_table[4], 3);
    idt[VECTOR_SYSCALL] = gate((uint32_t)vector_syscall, 3);
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) idtr = {sizeof idt - 1, (uint32_t)idt};
    __asm__ volatile("lidt %0" : : "m"(idtr));
}
