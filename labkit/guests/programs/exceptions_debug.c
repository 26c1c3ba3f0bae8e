/* The debug exception: INT1, INT 1, and the trap flag, which stops a processor after every instruction. */
#include "exceptions.h"

#define MAX_STEPS 16
#define DR6_SINGLE_STEP 0x4000

CODE(int1, "", ".byte 0xF1");
CODE(int_1, "", ".byte 0xCD, 0x01");

/* POPF sets TF; the trap comes after the next instruction, not after POPF itself. */
extern char single_step[], steps_begin[], step_1[], step_2[], step_target[], step_end[];
__asm__(".text\n"
        "single_step: pushfl; orl $0x100, (%esp); popfl\n"
        "steps_begin: nop\n"
        "step_1: xorl %eax, %eax\n"
        "step_2: jmp step_target\n"
        "hlt\n"
        "step_target: addl $1, %eax\n"
        "step_end: ret\n");

/* A repeated string instruction is interrupted after each repetition. */
extern char repeated[], repeat_at[], repeat_next[];
__asm__(".text\n"
        "repeated: movl $step_buffer, %esi; movl $step_buffer + 8, %edi; movl $3, %ecx\n"
        "pushfl; orl $0x100, (%esp); popfl\n"
        "repeat_at: rep movsb\n"
        "repeat_next: ret\n"
        ".bss\n"
        "step_buffer: .skip 16\n");

static uint32_t steps[MAX_STEPS], step_count, last_dr6;

static bool step(struct trap_frame *frame)
{
    if (frame->vector != DB)
        return false;
    __asm__ volatile("movl %%dr6, %0" : "=r"(last_dr6));
    if (step_count < MAX_STEPS)
        steps[step_count++] = frame->eip;
    if (frame->eip == (uint32_t)step_end || frame->eip == (uint32_t)repeat_next || step_count == MAX_STEPS)
        frame->eflags &= ~(uint32_t)EFLAGS_TF;
    return true;
}

static void run_steps(const char *code)
{
    step_count = 0;
    __asm__ volatile("movl %0, %%dr6" : : "r"(0));
    on_trap = step;
    run_ring0(code);
    on_trap = NULL;
}

void debug_traps(void)
{
    struct outcome got = run_ring0(int1);
    if (got.frame.vector == UD)
        skip("db int1", "this processor does not know it");
    else
        check_trap("db int1", got, DB, 0, int1_next);
    check_trap("db int 1", run_ring0(int_1), DB, 0, int_1_next);
    run_steps(single_step);
    check("db single step count", 4, step_count);
    check("db first step", (uint32_t)step_1, steps[0]);
    check("db second step", (uint32_t)step_2, steps[1]);
    check("db step over a jump", (uint32_t)step_target, steps[2]);
    check("db last step", (uint32_t)step_end, steps[3]);
    check("db dr6 says single step", DR6_SINGLE_STEP, last_dr6 & 0xE00F);
    run_steps(repeated);
    check("db repetitions", 3, step_count);
    check("db first repetition", (uint32_t)repeat_at, steps[0]);
    check("db second repetition", (uint32_t)repeat_at, steps[1]);
    check("db last repetition", (uint32_t)repeat_next, steps[2]);
}
