/* The instructions that C cannot say, one inline function each. */
#ifndef X86_H
#define X86_H

#include <stdbool.h>
#include <stdint.h>

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* The linear address that caused the last page fault. */
static inline uint32_t read_cr2(void)
{
    uint32_t value;
    __asm__ volatile("movl %%cr2, %0" : "=r"(value));
    return value;
}

/* The physical address of the page directory in use. Writing it empties the TLB. */
static inline uint32_t read_cr3(void)
{
    uint32_t value;
    __asm__ volatile("movl %%cr3, %0" : "=r"(value));
    return value;
}

static inline void write_cr3(uint32_t value)
{
    __asm__ volatile("movl %0, %%cr3" : : "r"(value) : "memory");
}

/* Forget one translation: needed whenever a page-table entry that was present changes. */
static inline void invlpg(uint32_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void write_msr(uint32_t number, uint32_t value)
{
    __asm__ volatile("wrmsr" : : "c"(number), "a"(value), "d"(0));
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
    return r;
}

/* SYSENTER/SYSEXIT offered? CPUID leaf 1, EDX bit 11 (SEP); the first Pentium Pros set the bit in vain. */
static inline bool has_sysenter(void)
{
    struct cpuid r = cpuid(1);
    bool early_pentium_pro = ((r.eax >> 8) & 15) == 6 && (r.eax & 0xFF) < 0x33;
    return (r.edx >> 11 & 1) && !early_pentium_pro;
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Divide 64 bits by 32 when the quotient fits 32 bits: one DIV instead of a library routine. */
static inline uint32_t divide(uint64_t dividend, uint32_t divisor)
{
    uint32_t quotient, remainder;
    if ((uint32_t)(dividend >> 32) >= divisor)
        return 0xFFFFFFFF;
    __asm__("divl %4"
            : "=a"(quotient), "=d"(remainder)
            : "a"((uint32_t)dividend), "d"((uint32_t)(dividend >> 32)), "r"(divisor)
            : "cc");
    return quotient;
}

#endif
