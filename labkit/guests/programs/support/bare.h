/* The bare machine for test programs: run a piece of code in ring 0 or ring 3, see how it traps, compare. */
#ifndef BARE_H
#define BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../kernel/memory.h"
#include "../../kernel/x86.h"

/* GDT: flat segments first, then room for the tests' own descriptors. */
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS (0x18 | 3)
#define USER_DS (0x20 | 3)
#define TSS_SELECTOR 0x28
#define FREE_SELECTOR 0x30 /* to 0x78 */
#define GDT_ENTRIES 16

enum { DE, DB, NMI, BP, OF, BR, UD, NM, DF, CSO, TS, NP, SS, GP, PF, RESERVED_15, MF, AC };
#define IRQ0 0x20 /* where the PIC's requests arrive */
#define DONE 0x40 /* INT that ring 3 code ends with */
#define NO_TRAP 0xFFFFFFFF
#define ANY 0xFFFFFFFE /* in an expectation: not checked */

#define EFLAGS_FIXED 0x00000002
#define EFLAGS_TF 0x00000100
#define EFLAGS_IF 0x00000200
#define EFLAGS_IOPL3 0x00003000
#define EFLAGS_NT 0x00004000
#define EFLAGS_VM 0x00020000
#define EFLAGS_AC 0x00040000

#define CR0_MP 0x00000002
#define CR0_EM 0x00000004
#define CR0_TS 0x00000008
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_AM 0x00040000
#define CR0_PG 0x80000000
#define CR4_PSE 0x00000010
#define CR4_PAE 0x00000020

/* What a trap left on the stack, lowest address first (traps.S). */
struct trap_frame {
    uint32_t gs, fs, es, ds, edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
    uint32_t vector, error; /* error: 0 for a vector that has none */
    uint32_t eip, cs, eflags;
    uint32_t esp, ss;                          /* only from ring 3 */
    uint32_t v86_es, v86_ds, v86_fs, v86_gs;   /* only from V86 mode */
};

/* How a piece of code ended: the frame of its trap, or vector NO_TRAP if it just returned. */
struct outcome {
    struct trap_frame frame;
    uint32_t cr2;
    uint32_t frame_address; /* where the frame was: tells which stack was used */
};

struct task_state {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_bitmap_offset;
    uint8_t io_bitmap[33]; /* ports 0 to FFh; the last byte must be FFh */
} __attribute__((packed));

extern uint64_t gdt[GDT_ENTRIES], idt[256];
extern struct task_state tss;
extern char user_stack_top[], trap_stack_top[], user_done[];
/* When set: sees every trap first; true = go on where it happened (the frame may have been changed). */
extern bool (*on_trap)(struct trap_frame *frame);

/* A piece of code with two labels: NAME_at, its last instruction, on trial; and NAME_next, behind it. */
#define CODE(name, before, instruction)                                                                \
    extern char name[], name##_at[], name##_next[];                                                         \
    __asm__(".text\n" #name ":\n\t" before "\n" #name "_at:\n\t" instruction "\n" #name "_next:\n\tret\n")

void bare_init(void);
struct outcome run_ring0(const char *code);
struct outcome run_ring3(const char *code, uint32_t eflags);
struct outcome run_frame(const struct trap_frame *frame); /* IRET to whatever the frame says (V86 mode) */

uint64_t segment_descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags);
uint64_t gate_descriptor(uint32_t selector, uint32_t offset, uint32_t access, uint32_t count);
#define ACCESS(present, privilege, type) ((present) << 7 | (privilege) << 5 | (type))
#define CODE_TYPE 0x1A
#define DATA_TYPE 0x12
#define TSS_TYPE 0x09
#define BUSY_TSS_TYPE 0x0B
#define LDT_TYPE 0x02
#define CALL_GATE 0x0C
#define TASK_GATE 0x05
#define INTERRUPT_GATE 0x0E
#define FLAT_LIMIT 0xFFFFF
#define FLAT_FLAGS 0xC /* 4 KB units, 32-bit */
void interrupt_gate(uint32_t vector, uint32_t privilege, bool present);
void load_gdt(const void *base, uint32_t limit);
void load_idt(const void *base, uint32_t limit);

static inline uint32_t read_cr0(void)
{
    uint32_t value;
    __asm__ volatile("movl %%cr0, %0" : "=r"(value));
    return value;
}

static inline void write_cr0(uint32_t value)
{
    __asm__ volatile("movl %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint32_t read_cr4(void)
{
    uint32_t value;
    __asm__ volatile("movl %%cr4, %0" : "=r"(value));
    return value;
}

static inline void write_cr4(uint32_t value)
{
    __asm__ volatile("movl %0, %%cr4" : : "r"(value) : "memory");
}

void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check(const char *name, uint32_t expected, uint32_t got);
void check_trap(const char *name, struct outcome got, uint32_t vector, uint32_t error, const char *eip);
void skip(const char *name, const char *why);
void finish(const char *program) __attribute__((noreturn)); /* the last line, OUT to port F4h, HLT */

#endif
