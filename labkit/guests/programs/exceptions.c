/* exceptions: provokes every exception, and checks its vector, error code and saved EIP.
 *
 * A fault saves the address of the instruction, a trap that of the next one. (Intel SDM vol. 3A, chapter 6)
 * This file: ring 0. exceptions_ring3.c: privilege; exceptions_v86.c: virtual 8086 mode; exceptions_tasks.c.
 */
#include "exceptions.h"

CODE(divide_by_zero, "xorl %ecx, %ecx; xorl %edx, %edx; movl $1, %eax", "divl %ecx");
CODE(divide_too_far, "movl $1, %ecx; movl $1, %edx; xorl %eax, %eax", "divl %ecx");
CODE(divide_lowest, "movl $-1, %ecx; movl $-1, %edx; movl $0x80000000, %eax", "idivl %ecx");
CODE(aam_zero, "movl $5, %eax", ".byte 0xD4, 0x00");
CODE(int3, "", "int3");
CODE(int_3, "", ".byte 0xCD, 0x03");
CODE(overflow, "movb $0x7F, %al; addb $1, %al", "into");
CODE(no_overflow, "xorl %eax, %eax", "into");
CODE(bound_inside, "movl $5, %eax", "bound %eax, bounds");
CODE(bound_below, "movl $1, %eax", "bound %eax, bounds");
CODE(bound_above, "movl $8, %eax", "bound %eax, bounds");
__asm__(".data\n.globl bounds\nbounds: .long 2, 7\n");
CODE(undefined, "", "ud2");
CODE(lock_nop, "", ".byte 0xF0, 0x90");
CODE(mov_to_cs, "movl $0x10, %eax", ".byte 0x8E, 0xC8");
CODE(lea_register, "", ".byte 0x8D, 0xC0");
CODE(x87, "", "fnop");
CODE(wait_x87, "", "fwait");
CODE(int_42, "", "int $0x42");
CODE(load_ds, "movl selector, %eax", "movl %eax, %ds");
CODE(load_ss, "movl selector, %eax", "movl %eax, %ss");
CODE(pop_es, "pushl selector", "popl %es");
CODE(far_call, "", "lcall *far_pointer");
CODE(far_jump, "", "ljmp *far_pointer");
CODE(load_task_register, "movl selector, %eax", "ltr %ax");
CODE(load_ldt, "movl selector, %eax", "lldt %ax");
CODE(zero_divide_x87, "fninit; fldcw control_word; fld1; fldz; fdivrp", "fwait");
__asm__(".data\ncontrol_word: .word 0x037B\n"); /* #Z not masked */
CODE(nested_return, "pushfl; orl $0x4000, (%esp); popfl", "iretl");

uint32_t selector;
struct far_pointer far_pointer;

static void faults_of_instructions(void)
{
    check_trap("de division by zero", run_ring0(divide_by_zero), DE, 0, divide_by_zero_at);
    check_trap("de quotient too large", run_ring0(divide_too_far), DE, 0, divide_too_far_at);
    check_trap("de lowest number by -1", run_ring0(divide_lowest), DE, 0, divide_lowest_at);
    check_trap("de aam 0", run_ring0(aam_zero), DE, 0, aam_zero_at);
    check_trap("bp int3", run_ring0(int3), BP, 0, int3_next);
    check_trap("bp int 3", run_ring0(int_3), BP, 0, int_3_next);
    check_trap("of into", run_ring0(overflow), OF, 0, overflow_next);
    check_trap("of into without overflow", run_ring0(no_overflow), NO_TRAP, 0, 0);
    check_trap("br inside", run_ring0(bound_inside), NO_TRAP, 0, 0);
    check_trap("br below", run_ring0(bound_below), BR, 0, bound_below_at);
    check_trap("br above", run_ring0(bound_above), BR, 0, bound_above_at);
    check_trap("ud ud2", run_ring0(undefined), UD, 0, undefined_at);
    check_trap("ud lock nop", run_ring0(lock_nop), UD, 0, lock_nop_at);
    check_trap("ud mov to cs", run_ring0(mov_to_cs), UD, 0, mov_to_cs_at);
    check_trap("ud lea of a register", run_ring0(lea_register), UD, 0, lea_register_at);
    check_trap("int 42h", run_ring0(int_42), 0x42, 0, int_42_next);
}

static void coprocessor(void)
{
    uint32_t cr0 = read_cr0() & ~(uint32_t)(CR0_EM | CR0_TS | CR0_MP);
    write_cr0(cr0 | CR0_TS);
    check_trap("nm task switched", run_ring0(x87), NM, 0, x87_at);
    check_trap("nm fwait with MP clear", run_ring0(wait_x87), NO_TRAP, 0, 0);
    write_cr0(cr0 | CR0_TS | CR0_MP);
    check_trap("nm fwait with MP set", run_ring0(wait_x87), NM, 0, wait_x87_at);
    write_cr0(cr0 | CR0_EM);
    check_trap("nm emulation", run_ring0(x87), NM, 0, x87_at);
    write_cr0(cr0 | CR0_NE);
    check_trap("mf zero divide", run_ring0(zero_divide_x87), MF, 0, zero_divide_x87_at);
    __asm__ volatile("fninit");
    check_trap("x87 works", run_ring0(x87), NO_TRAP, 0, 0);
}

static struct outcome with_selector(uint32_t value, const char *code)
{
    selector = value;
    return run_ring0(code);
}

static struct outcome with_pointer(uint32_t value, const char *code)
{
    far_pointer = (struct far_pointer){0x12345678, (uint16_t)value};
    return run_ring0(code);
}

#define ABSENT_DATA 0x30
#define ABSENT_CODE 0x38
#define ABSENT_GATE 0x40
#define EXECUTE_ONLY 0x48
#define READ_ONLY 0x50
#define ABSENT_TSS 0x58

static void make_descriptors(void)
{
    gdt[ABSENT_DATA / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(0, 0, DATA_TYPE), FLAT_FLAGS);
    gdt[ABSENT_CODE / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(0, 0, CODE_TYPE), FLAT_FLAGS);
    gdt[ABSENT_GATE / 8] = gate_descriptor(KERNEL_CS, (uint32_t)int3, ACCESS(0, 0, CALL_GATE), 0);
    gdt[EXECUTE_ONLY / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 0, 0x18), FLAT_FLAGS);
    gdt[READ_ONLY / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 0, 0x10), FLAT_FLAGS);
    gdt[ABSENT_TSS / 8] = segment_descriptor((uint32_t)&tss, sizeof tss - 1, ACCESS(0, 0, TSS_TYPE), 0);
}

static void segment_loads(void)
{
    make_descriptors();
    check_trap("gp ds beyond the table", with_selector(0x1230, load_ds), GP, 0x1230, load_ds_at);
    check_trap("gp ds without its rpl", with_selector(0x1233, load_ds), GP, 0x1230, load_ds_at);
    check_trap("gp ds in no ldt", with_selector(0x0C, load_ds), GP, 0x0C, load_ds_at);
    check_trap("gp ds = system segment", with_selector(TSS_SELECTOR, load_ds), GP, TSS_SELECTOR, load_ds_at);
    check_trap("gp ds = execute only", with_selector(EXECUTE_ONLY, load_ds), GP, EXECUTE_ONLY, load_ds_at);
    check_trap("np ds", with_selector(ABSENT_DATA, load_ds), NP, ABSENT_DATA, load_ds_at);
    check_trap("np pop es", with_selector(ABSENT_DATA, pop_es), NP, ABSENT_DATA, pop_es_at);
    check_trap("null ds is allowed", with_selector(0, load_ds), NO_TRAP, 0, 0);
    check_trap("ss not present", with_selector(ABSENT_DATA, load_ss), SS, ABSENT_DATA, load_ss_at);
    check_trap("gp ss null", with_selector(0, load_ss), GP, 0, load_ss_at);
    check_trap("gp ss read only", with_selector(READ_ONLY, load_ss), GP, READ_ONLY, load_ss_at);
    check_trap("gp ss of another ring", with_selector(USER_DS, load_ss), GP, USER_DS & ~3, load_ss_at);
    check_trap("gp ltr of a data segment", with_selector(KERNEL_DS, load_task_register), GP, KERNEL_DS,
               load_task_register_at);
    check_trap("gp ltr of a busy tss", with_selector(TSS_SELECTOR, load_task_register), GP, TSS_SELECTOR,
               load_task_register_at);
    check_trap("np ltr", with_selector(ABSENT_TSS, load_task_register), NP, ABSENT_TSS,
               load_task_register_at);
    check_trap("gp lldt of a data segment", with_selector(KERNEL_DS, load_ldt), GP, KERNEL_DS, load_ldt_at);
}

static void far_transfers(void)
{
    check_trap("gp far call to null", with_pointer(0, far_call), GP, 0, far_call_at);
    check_trap("gp far call to data", with_pointer(KERNEL_DS, far_call), GP, KERNEL_DS, far_call_at);
    check_trap("np far call", with_pointer(ABSENT_CODE, far_call), NP, ABSENT_CODE, far_call_at);
    check_trap("np call gate", with_pointer(ABSENT_GATE, far_call), NP, ABSENT_GATE, far_call_at);
    check_trap("np far jump", with_pointer(ABSENT_CODE, far_jump), NP, ABSENT_CODE, far_jump_at);
    check_trap("gp far jump to another ring", with_pointer(USER_CS, far_jump), GP, USER_CS & ~3, far_jump_at);
}

static void gates(void)
{
    interrupt_gate(0x42, 0, false);
    check_trap("np interrupt gate", run_ring0(int_42), NP, 0x42 * 8 + 2, int_42_at);
    load_idt(idt, 0x42 * 8 - 1);
    check_trap("gp interrupt beyond the table", run_ring0(int_42), GP, 0x42 * 8 + 2, int_42_at);
    load_idt(idt, sizeof idt - 1);
    idt[0x42] = gate_descriptor(KERNEL_DS, 0, ACCESS(1, 0, INTERRUPT_GATE), 0);
    check_trap("gp gate to a data segment", run_ring0(int_42), GP, KERNEL_DS, int_42_at);
    idt[0x42] = 0;
    check_trap("gp gate of no type", run_ring0(int_42), GP, 0x42 * 8 + 2, int_42_at);
    interrupt_gate(0x42, 0, true);
    interrupt_gate(GP, 0, false);
    check_trap("df fault while delivering gp", with_selector(0x1230, load_ds), DF, 0, (char *)ANY);
    interrupt_gate(GP, 0, true);
}

static void nested_task(void)
{
    tss.link = KERNEL_DS;
    check_trap("ts nested return to no task", run_ring0(nested_return), TS, KERNEL_DS, nested_return_at);
}

int main(void)
{
    faults_of_instructions();
    coprocessor();
    segment_loads();
    far_transfers();
    gates();
    nested_task();
    debug_traps();
    page_faults();
    interrupts();
    ring3();
    call_gates();
    virtual_8086();
    tasks();
    finish("exceptions");
}
