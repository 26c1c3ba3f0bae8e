/* Call gates: a far call that may go to an inner ring, through a door that the kernel made. And SYSENTER, the
 * door without a descriptor.
 *
 * What the processor pushes on the inner stack, top first:   old SS, old ESP, the parameters, CS, EIP <- ESP
 */
#include "exceptions.h"

#define GATE 0x30
#define RING1_CODE 0x38
#define RING1_DATA 0x40
#define CONFORMING 0x48
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176

CODE(call_gate, "pushl $0x2222; pushl $0x1111", "lcall *far_pointer");
CODE(call_far, "", "lcall *far_pointer");
CODE(user_sysenter, "", "sysenter");
CODE(user_sysexit, "", "sysexit");
CODE(kernel_sysexit, "movl $user_done, %edx; movl $user_stack_top - 16, %ecx", "sysexit");

/* Targets. INT 43h ends the run and shows the registers. */
extern char look_at_stack[], return_8[], where_am_i[], sysenter_target[];
__asm__(".text\n"
        "look_at_stack: popl %eax; popl %ebx; popl %ecx; popl %edx; popl %esi; popl %edi; int $0x43\n"
        "return_8: lret $8\n"
        "where_am_i: movl %cs, %eax; movl %ss, %ebx; lret\n"
        "sysenter_target: int $0x43\n");

static void make_gate(uint32_t selector_of_code, const char *target, uint32_t access, uint32_t count)
{
    gdt[GATE / 8] = gate_descriptor(selector_of_code, (uint32_t)target, access, count);
    far_pointer = (struct far_pointer){0xDEAD, GATE | 3}; /* the offset is not used */
}

static void to_ring0(void)
{
    make_gate(KERNEL_CS, look_at_stack, ACCESS(1, 3, CALL_GATE), 2);
    struct outcome got = run_ring3(call_gate, 0);
    check("call gate to ring 0", 0x43, got.frame.vector);
    check("  cs", KERNEL_CS, got.frame.cs & 0xFFFF);
    check("  return address", (uint32_t)call_gate_next, got.frame.eax);
    check("  caller's cs", USER_CS, got.frame.ebx & 0xFFFF);
    check("  first parameter", 0x1111, got.frame.ecx);
    check("  second parameter", 0x2222, got.frame.edx);
    check("  caller's esp", (uint32_t)user_stack_top - 12, got.frame.esi);
    check("  caller's ss", USER_DS, got.frame.edi & 0xFFFF);
    make_gate(KERNEL_CS, return_8, ACCESS(1, 3, CALL_GATE), 2);
    check_trap("call gate and back", run_ring3(call_gate, 0), NO_TRAP, 0, 0);
}

static void refused(void)
{
    make_gate(KERNEL_CS, return_8, ACCESS(1, 2, CALL_GATE), 2);
    check_trap("gp call gate for inner rings", run_ring3(call_gate, 0), GP, GATE, call_gate_at);
    make_gate(KERNEL_CS, return_8, ACCESS(0, 3, CALL_GATE), 2);
    check_trap("np call gate of ring 3", run_ring3(call_gate, 0), NP, GATE, call_gate_at);
    make_gate(KERNEL_DS, return_8, ACCESS(1, 3, CALL_GATE), 2);
    check_trap("gp call gate to data", run_ring3(call_gate, 0), GP, KERNEL_DS, call_gate_at);
    make_gate(0, return_8, ACCESS(1, 3, CALL_GATE), 2);
    check_trap("gp call gate to null", run_ring3(call_gate, 0), GP, 0, call_gate_at);
}

/* The TSS names a stack for each inner ring; if that is no good, the exception is invalid TSS. */
static struct outcome with_ss1(uint32_t ss1)
{
    make_gate(RING1_CODE, where_am_i, ACCESS(1, 3, CALL_GATE), 0);
    tss.ss1 = ss1;
    tss.esp1 = (uint32_t)trap_stack_top - 2048;
    return run_ring3(call_far, 0);
}

static void to_ring1(void)
{
    gdt[RING1_CODE / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 1, CODE_TYPE), FLAT_FLAGS);
    gdt[RING1_DATA / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 1, DATA_TYPE), FLAT_FLAGS);
    struct outcome got = with_ss1(RING1_DATA | 1);
    check_trap("call gate to ring 1 and back", got, NO_TRAP, 0, 0);
    check("  cs in ring 1", RING1_CODE | 1, got.frame.eax & 0xFFFF);
    check("  ss in ring 1", RING1_DATA | 1, got.frame.ebx & 0xFFFF);
    check_trap("ts stack segment null", with_ss1(0), TS, 0, call_far_at);
    check_trap("ts stack segment of another ring", with_ss1(KERNEL_DS | 1), TS, KERNEL_DS, call_far_at);
    check_trap("ts stack segment with another rpl", with_ss1(RING1_DATA), TS, RING1_DATA, call_far_at);
}

/* Conforming code may be called from outer rings, and runs with the caller's privilege. */
static void conforming(void)
{
    gdt[CONFORMING / 8] = segment_descriptor(0, FLAT_LIMIT, ACCESS(1, 0, 0x1E), FLAT_FLAGS);
    far_pointer = (struct far_pointer){(uint32_t)where_am_i, CONFORMING};
    struct outcome got = run_ring3(call_far, 0);
    check_trap("call of conforming code", got, NO_TRAP, 0, 0);
    check("  still ring 3", CONFORMING | 3, got.frame.eax & 0xFFFF);
}

static void sysenter(void)
{
    if (!has_sysenter()) {
        skip("sysenter", "not offered by this processor");
        return;
    }
    write_msr(MSR_SYSENTER_CS, 0);
    check_trap("gp sysenter not set up", run_ring3(user_sysenter, 0), GP, 0, user_sysenter_at);
    write_msr(MSR_SYSENTER_CS, KERNEL_CS);
    write_msr(MSR_SYSENTER_ESP, (uint32_t)trap_stack_top - 512);
    write_msr(MSR_SYSENTER_EIP, (uint32_t)sysenter_target);
    struct outcome got = run_ring3(user_sysenter, EFLAGS_IF);
    check_trap("sysenter", got, 0x43, 0, sysenter_target + 2);
    check("  cs", KERNEL_CS, got.frame.cs & 0xFFFF);
    check("  interrupts off", 0, got.frame.eflags & EFLAGS_IF);
    check("  its stack", (uint32_t)trap_stack_top - 512,
          got.frame_address + offsetof(struct trap_frame, esp));
    check_trap("gp sysexit in ring 3", run_ring3(user_sysexit, 0), GP, 0, user_sysexit_at);
    got = run_ring0(kernel_sysexit);
    check_trap("sysexit", got, DONE, 0, user_done + 2);
    check("  cs", USER_CS, got.frame.cs & 0xFFFF);
    check("  ss", USER_DS, got.frame.ss & 0xFFFF);
    check("  esp", (uint32_t)user_stack_top - 16, got.frame.esp);
}

void call_gates(void)
{
    to_ring0();
    refused();
    to_ring1();
    conforming();
    sysenter();
}
