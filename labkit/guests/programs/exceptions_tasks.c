/* Hardware tasks: the processor saves all registers in one TSS and loads them from another. Nobody uses them
 * to switch processes; but a task gate gives a handler a stack that is certainly good: see the double fault.
 */
#include "exceptions.h"

#define OTHER_TSS 0x30
#define GATE_VECTOR 0x44
#define MIN_LIMIT 0x67

CODE(call_task, "", "lcall *far_pointer");
CODE(jump_task, "", "ljmp *far_pointer");
CODE(int_44, "", "int $0x44");
CODE(fault_without_stack, "movl $0x00300000, %esp", "pushl %eax");

static struct task_state other;
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint8_t other_stack[1024] __attribute__((aligned(16)));

/* The task: leaves a mark, returns to the task that called it, and goes on here when called again. */
extern char task_code[], double_fault_task[];
extern volatile uint32_t task_mark, task_flags, double_fault_error;
__asm__(".text\n"
        "task_code: incl task_mark; pushfl; popl task_flags; iretl; jmp task_code\n"
        "double_fault_task: popl double_fault_error; jmp come_back\n"
        ".bss\n"
        "task_mark: .skip 4\n"
        "task_flags: .skip 4\n"
        "double_fault_error: .skip 4\n");

static void make_task(const char *code)
{
    memset(&other, 0, sizeof other);
    other.eip = (uint32_t)code;
    other.eflags = EFLAGS_FIXED;
    other.esp = (uint32_t)(other_stack + sizeof other_stack);
    other.cs = KERNEL_CS;
    other.ds = other.es = other.fs = other.gs = other.ss = KERNEL_DS;
    other.cr3 = read_cr3();
    other.io_bitmap_offset = sizeof other;
    gdt[OTHER_TSS / 8] = segment_descriptor((uint32_t)&other, MIN_LIMIT, ACCESS(1, 0, TSS_TYPE), 0);
    far_pointer = (struct far_pointer){0, OTHER_TSS};
}

static uint32_t type_of(uint32_t descriptor)
{
    return (uint32_t)(gdt[descriptor / 8] >> 40) & 0x1F;
}

static void call_and_return(void)
{
    make_task(task_code);
    __asm__ volatile("clts");
    check_trap("call of a task and back", run_ring0(call_task), NO_TRAP, 0, 0);
    check("  it ran once", 1, task_mark);
    check("  nt in its flags", EFLAGS_NT, task_flags & EFLAGS_NT);
    check("  its link names the caller", TSS_SELECTOR, other.link & 0xFFFF);
    check("  cr0.ts is set", CR0_TS, read_cr0() & CR0_TS);
    check("  its tss is free again", TSS_TYPE, type_of(OTHER_TSS));
    check("  ours is busy again", BUSY_TSS_TYPE, type_of(TSS_SELECTOR));
    check_trap("again: it goes on behind its iret", run_ring0(call_task), NO_TRAP, 0, 0);
    check("  it ran twice", 2, task_mark);
    make_task(task_code);
    idt[GATE_VECTOR] = gate_descriptor(OTHER_TSS, 0, ACCESS(1, 0, TASK_GATE), 0);
    check_trap("task gate", run_ring0(int_44), NO_TRAP, 0, 0);
    check("  it ran", 3, task_mark);
}

static void refused(void)
{
    make_task(task_code);
    gdt[OTHER_TSS / 8] = segment_descriptor((uint32_t)&other, MIN_LIMIT, ACCESS(0, 0, TSS_TYPE), 0);
    check_trap("np task", run_ring0(jump_task), NP, OTHER_TSS, jump_task_at);
    gdt[OTHER_TSS / 8] = segment_descriptor((uint32_t)&other, MIN_LIMIT, ACCESS(1, 0, BUSY_TSS_TYPE), 0);
    check_trap("gp busy task", run_ring0(jump_task), GP, OTHER_TSS, jump_task_at);
    gdt[OTHER_TSS / 8] = segment_descriptor((uint32_t)&other, MIN_LIMIT - 1, ACCESS(1, 0, TSS_TYPE), 0);
    check_trap("ts task with a short tss", run_ring0(jump_task), TS, OTHER_TSS, jump_task_at);
    check("mark unchanged", 3, task_mark);
}

/* A push on a stack that is not there is a page fault; its frame cannot be pushed either: double fault. */
static void double_fault_by_task_gate(void)
{
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = i << 12 | 3;
    table[0x2FF] = 0;
    directory[0] = (uint32_t)table | 3;
    write_cr3((uint32_t)directory);
    write_cr0(read_cr0() | CR0_PG);
    make_task(double_fault_task);
    uint64_t old = idt[DF];
    idt[DF] = gate_descriptor(OTHER_TSS, 0, ACCESS(1, 0, TASK_GATE), 0);
    double_fault_error = 0xBAD;
    run_ring0(fault_without_stack);
    idt[DF] = old;
    write_cr0(read_cr0() & ~CR0_PG);
    __asm__ volatile("clts");
    check("df on a bad stack, through a task gate", 0, double_fault_error);
    check("  old task's eip", (uint32_t)fault_without_stack_at, tss.eip);
    check("  old task's esp", 0x00300000, tss.esp);
    check("  cr2", 0x002FFFFC, read_cr2());
    gdt[TSS_SELECTOR / 8] = segment_descriptor((uint32_t)&tss, sizeof tss - 1, ACCESS(1, 0, TSS_TYPE), 0);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void tasks(void)
{
    call_and_return();
    refused();
    double_fault_by_task_gate();
}
