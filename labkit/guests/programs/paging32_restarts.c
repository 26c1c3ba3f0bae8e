/* A fault can be repaired and the instruction begun again, so it must have changed nothing, or only what it
 * can take up again (REP). And accesses that lie on two pages.
 */
#include "paging32.h"

#define BYTE_AT(address) (*(volatile uint8_t *)(address))
#define LAST_BYTES (TARGET_PAGE + PAGE - 2)

CODE(read_both, "", "movl 0x01123FFE, %eax");
CODE(write_both, "movl $0x44332211, %eax", "movl %eax, 0x01123FFE");
CODE(run_both, "movl $0x01123FFE, %eax", "jmp *%eax");
CODE(push_absent, "movl $0x01124000, %esp", "pushl %eax");
CODE(call_absent, "movl $0x01124000, %esp", "call read_both");
CODE(pop_to_absent, "pushl $7", "popl 0x01123080");
CODE(repeat_into_absent, "cld; movl $0x01123FF0, %edi; movl $32, %ecx; movb $0x77, %al", "rep stosb");
CODE(exchange_absent, "movl $0x1234, %eax", "xchgl %eax, 0x01123080");

static void set_both(uint32_t first, uint32_t second)
{
    target_pte()[1] = OTHER_FRAME | second;
    set_entries(P | W | U, first);
}

static void two_pages(void)
{
    set_both(P | W | U, P | W | U);
    run_ring0(write_both);
    check("write over two pages, first", 0x22, BYTE_AT(TARGET_FRAME + PAGE - 1));
    check("write over two pages, second", 0x33, BYTE_AT(OTHER_FRAME));
    check("read over two pages", 0x44332211, run_ring3(read_both, 0).frame.eax);
    set_both(P | W | U, 0);
    struct outcome got = run_ring0(read_both);
    check_trap("read, second page absent", got, PF, 0, read_both_at);
    check("  cr2 is the second page", NEXT_PAGE, got.cr2);
    BYTE_AT(TARGET_FRAME + PAGE - 2) = 0;
    got = run_ring3(write_both, 0);
    check_trap("write, second page absent", got, PF, ERROR_USER | ERROR_WRITE, write_both_at);
    check("  cr2 is the second page", NEXT_PAGE, got.cr2);
    check("  nothing is written to the first", 0, BYTE_AT(TARGET_FRAME + PAGE - 2));
    set_both(0, P | W | U);
    got = run_ring0(read_both);
    check_trap("read, first page absent", got, PF, 0, read_both_at);
    check("  cr2 is the first byte", LAST_BYTES, got.cr2);
    set_both(P | W | U, P | U);
    got = run_ring3(write_both, 0);
    check_trap("write, second page read-only", got, PF, ERROR_USER | ERROR_WRITE | ERROR_PRESENT,
               write_both_at);
    check("  nothing is written to the first", 0, BYTE_AT(TARGET_FRAME + PAGE - 2));
}

/* MOV $imm, %EAX is five bytes: two on the first page, three on the second, then INT 41h. */
static void code_on_two_pages(void)
{
    static const uint8_t code[] = {0xB8, 0x78, 0x56, 0x34, 0x12, 0xCD, EXECUTED};
    memcpy((void *)(TARGET_FRAME + PAGE - 2), code, 2);
    memcpy((void *)OTHER_FRAME, code + 2, sizeof code - 2);
    set_both(P | U, P | U);
    struct outcome got = run_ring3(run_both, 0);
    check("instruction on two pages", EXECUTED, got.frame.vector);
    check("  its operand", 0x12345678, got.frame.eax);
    set_both(P | U, 0);
    got = run_ring3(run_both, 0);
    check_trap("instruction, second page absent", got, PF, ERROR_USER, (char *)LAST_BYTES);
    check("  cr2 is the second page", NEXT_PAGE, got.cr2);
}

static void stack(void)
{
    set_both(0, P | W | U);
    struct outcome got = run_ring3(push_absent, 0);
    check_trap("push to an absent page", got, PF, ERROR_USER | ERROR_WRITE, push_absent_at);
    check("  esp is unchanged", NEXT_PAGE, got.frame.esp);
    check("  cr2", NEXT_PAGE - 4, got.cr2);
    got = run_ring3(call_absent, 0);
    check_trap("call, stack absent", got, PF, ERROR_USER | ERROR_WRITE, call_absent_at);
    check("  esp is unchanged", NEXT_PAGE, got.frame.esp);
    got = run_ring3(pop_to_absent, 0);
    check_trap("pop to an absent page", got, PF, ERROR_USER | ERROR_WRITE, pop_to_absent_at);
    check("  esp is unchanged", (uint32_t)user_stack_top - 8, got.frame.esp);
    got = run_ring3(exchange_absent, 0);
    check_trap("xchg with an absent page", got, PF, ANY, exchange_absent_at);
    check("  eax is unchanged", 0x1234, got.frame.eax);
}

static void repeated(void)
{
    set_both(P | W | U, 0);
    struct outcome got = run_ring3(repeat_into_absent, 0);
    check_trap("rep stosb into an absent page", got, PF, ERROR_USER | ERROR_WRITE, repeat_into_absent_at);
    check("  ecx: what is left", 16, got.frame.ecx);
    check("  edi: where it stopped", NEXT_PAGE, got.frame.edi);
    check("  what was done is done", 0x77, BYTE_AT(TARGET_FRAME + PAGE - 1));
    got.frame.vector = got.frame.error = 0;
    target_pte()[1] = OTHER_FRAME | P | W | U;
    BYTE_AT(OTHER_FRAME + 15) = 0;
    got = run_frame(&got.frame);
    check("begun again, it finishes", DONE, got.frame.vector);
    check("  ecx", 0, got.frame.ecx);
    check("  the last byte", 0x77, BYTE_AT(OTHER_FRAME + 15));
}

void restarts(void)
{
    two_pages();
    code_on_two_pages();
    stack();
    repeated();
}
