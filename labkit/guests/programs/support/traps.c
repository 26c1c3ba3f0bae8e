/* Descriptor tables of the test programs, and the record of the last trap.
 * Bit layouts: ../../kernel/segments.c and idt.c
 */
#include "support/bare.h"

uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(8)));
uint64_t idt[256] __attribute__((aligned(8)));
struct task_state tss;
bool (*on_trap)(struct trap_frame *frame);

static struct outcome last;

extern const uint32_t vector_table[256];
extern void enter_ring0(const char *code);
extern void enter_frame(const struct trap_frame *frame);

uint64_t segment_descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    uint32_t low = base << 16 | (limit & 0xFFFF);
    uint32_t high = (base & 0xFF000000) | flags << 20 | (limit & 0xF0000) | access << 8 | (base >> 16 & 0xFF);
    return (uint64_t)high << 32 | low;
}

uint64_t gate_descriptor(uint32_t selector, uint32_t offset, uint32_t access, uint32_t count)
{
    uint32_t low = selector << 16 | (offset & 0xFFFF);
    uint32_t high = (offset & 0xFFFF0000) | access << 8 | count;
    return (uint64_t)high << 32 | low;
}

void interrupt_gate(uint32_t vector, uint32_t privilege, bool present)
{
    uint32_t access = ACCESS((uint32_t)present, privilege, INTERRUPT_GATE);
    idt[vector] = gate_descriptor(KERNEL_CS, vector_table[vector], access, 0);
}

struct table_register {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

void load_gdt(const void *base, uint32_t limit)
{
    struct table_register gdtr = {(uint16_t)limit, (uint32_t)base};
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
}

void load_idt(const void *base, uint32_t limit)
{
    struct table_register idtr = {(uint16_t)limit, (uint32_t)base};
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void bare_init(void)
{
    gdt[1] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 0, CODE_TYPE), FLAT_FLAGS);
    gdt[2] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 0, DATA_TYPE), FLAT_FLAGS);
    gdt[3] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 3, CODE_TYPE), FLAT_FLAGS);
    gdt[4] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 3, DATA_TYPE), FLAT_FLAGS);
    gdt[5] = segment_descriptor((uint32_t)&tss, sizeof tss - 1, ACCESS(1, 0, TSS_TYPE), 0);
    load_gdt(gdt, sizeof gdt - 1);
    __asm__ volatile("ljmp %0, $1f\n"
                     "1: movw %w1, %%ds; movw %w1, %%es; movw %w1, %%fs; movw %w1, %%gs; movw %w1, %%ss"
                     :
                     : "i"(KERNEL_CS), "r"(KERNEL_DS)
                     : "memory");
    tss.ss0 = KERNEL_DS;
    tss.esp0 = (uint32_t)trap_stack_top;
    tss.io_bitmap_offset = sizeof tss;
    __asm__ volatile("lldt %w0; ltr %w1" : : "r"(0), "r"(TSS_SELECTOR));
    for (uint32_t vector = 0; vector < 256; vector++)
        interrupt_gate(vector, vector == DONE ? 3 : 0, true);
    load_idt(idt, sizeof idt - 1);
}

bool trap_arrived(struct trap_frame *frame)
{
    if (on_trap && on_trap(frame))
        return true;
    size_t size = frame->eflags & EFLAGS_VM ? sizeof *frame
                  : frame->cs & 3           ? offsetof(struct trap_frame, v86_es)
                                            : offsetof(struct trap_frame, esp);
    memset(&last, 0, sizeof last);
    memcpy(&last.frame, frame, size);
    last.cr2 = read_cr2();
    last.frame_address = (uint32_t)frame;
    return false;
}

struct outcome run_ring0(const char *code)
{
    last = (struct outcome){.frame.vector = NO_TRAP};
    enter_ring0(code);
    return last;
}

struct outcome run_frame(const struct trap_frame *frame)
{
    struct trap_frame copy = *frame;
    last = (struct outcome){.frame.vector = NO_TRAP};
    enter_frame(&copy);
    return last;
}

struct outcome run_ring3(const char *code, uint32_t eflags)
{
    uint32_t *stack = (uint32_t *)user_stack_top;
    *--stack = (uint32_t)user_done;
    struct trap_frame frame = {.gs = USER_DS, .fs = USER_DS, .es = USER_DS, .ds = USER_DS,
                               .eip = (uint32_t)code, .cs = USER_CS, .eflags = eflags | EFLAGS_FIXED,
                               .esp = (uint32_t)stack, .ss = USER_DS};
    struct outcome got = run_frame(&frame);
    if (got.frame.vector == DONE && got.frame.eip == (uint32_t)user_done + 2)
        got.frame.vector = NO_TRAP;
    return got;
}
