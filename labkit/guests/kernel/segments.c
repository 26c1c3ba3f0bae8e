/* GDT and TSS. Segmentation cannot be turned off on this processor, so it is made flat: every segment covers
 * 4 GB from 0 and paging does the protection. What remains are the privilege levels (0 kernel, 3 user) and
 * the task-state segment, in which the processor finds the kernel's stack when it enters ring 0 from ring 3.
 *
 * Segment descriptor (Intel SDM vol. 3A, 3.4.5):
 *   63      56 55 54 53 52 51   48 47 46 45 44 43  40 39     32 31          16 15           0
 *  | base     | G| D| 0|AV| limit | P| DPL | S| type | base     | base         | limit        |
 *  | 31..24   |  |  |  |L | 19..16|  |     |  |      | 23..16   | 15..0        | 15..0        |
 *   G: limit counts 4 KB units    D: 32-bit    S: 1 code or data, 0 system (TSS)
 *   type: A = code, readable;  2 = data, writable;  9 = 32-bit TSS, available
 */
#include "segments.h"

#include "layout.h"

#define CODE 0x1A /* S = 1, type = A */
#define DATA 0x12 /* S = 1, type = 2 */
#define TSS 0x09  /* S = 0, type = 9 */

static uint64_t gdt[6];

/* Only ss0, esp0 and the I/O bitmap's offset are used: the processor's own task switching is not. */
struct task_state {
    uint32_t link, esp0, ss0, unused[22];
    uint16_t trap, io_bitmap_offset;
} __attribute__((packed));

/* SYSENTER starts with ESP pointing at esp0 (see vectors.S). A debug exception on that very instruction
 * would push its frame right below, so some room is left there. */
static struct {
    uint32_t room[16];
    struct task_state tss;
} state;

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t type, uint32_t privilege, uint32_t flags)
{
    uint32_t low = (base << 16) | (limit & 0xFFFF);
    uint32_t high = (base & 0xFF000000) | flags << 20 | (limit & 0xF0000) | 1 << 15 | privilege << 13 |
                    type << 8 | (base >> 16 & 0xFF);
    return (uint64_t)high << 32 | low;
}

static void load_segment_registers(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) gdtr = {sizeof gdt - 1, (uint32_t)gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "ljmp %1, $1f\n"
                     "1:\n\t"
                     "movw %w2, %%ds; movw %w2, %%es; movw %w2, %%fs; movw %w2, %%gs; movw %w2, %%ss\n\t"
                     "ltr %w3"
                     :
                     : "m"(gdtr), "i"(KERNEL_CS), "r"(KERNEL_DS), "r"(TSS_SELECTOR)
                     : "memory");
}

void segments_init(void)
{
    const uint32_t flat = 0xFFFFF, granular_32_bit = 0xC;
    gdt[1] = descriptor(0, flat, CODE, 0, granular_32_bit);
    gdt[2] = descriptor(0, flat, DATA, 0, granular_32_bit);
    gdt[3] = descriptor(0, flat, CODE, 3, granular_32_bit);
    gdt[4] = descriptor(0, flat, DATA, 3, granular_32_bit);
    gdt[5] = descriptor((uint32_t)&state.tss, sizeof state.tss - 1, TSS, 0, 0);
    state.tss.ss0 = KERNEL_DS;
    state.tss.io_bitmap_offset = sizeof state.tss; /* beyond the limit: no port is open to ring 3 */
    load_segment_registers();
}

void set_kernel_stack(uint32_t top)
{
    state.tss.esp0 = top;
}

uint32_t kernel_stack_pointer_address(void)
{
    return (uint32_t)&state.tss.esp0;
}
