/* Where addresses lead, absent levels, reserved bits, and an instruction that runs into a no-execute page. */
#include "pae.h"

#define WORD_AT(address) (*(volatile uint32_t *)(address))
#define NO_POINTER 0x40000000u /* the second quarter has no directory */

CODE(read_no_directory, "", "movl 0x40000000, %eax");
CODE(run_over, "movl $0x01123FFE, %eax", "jmp *%eax");

static void frames(void)
{
    set_entries(P | W, P | W);
    WORD_AT(TARGET_WORD) = 0x1111;
    check("a 4 KB page leads to its frame", 0x1111, WORD_AT(TARGET_FRAME + 0x80));
    set_large(P | W);
    WORD_AT(TARGET_WORD) = 0x2222;
    check("a 2 MB page leads to its frame", 0x2222, WORD_AT(TARGET_FRAME + 0x80));
    WORD_AT(OTHER_FRAME + 0x80) = 0x3333;
    *target_pde() = (uint32_t)target_table | P | W;
    *target_pte() = OTHER_FRAME | P | W;
    invlpg(TARGET_PAGE + 0x3000);
    check("after invlpg anywhere in it, a table", 0x3333, WORD_AT(TARGET_WORD));
}

static void absent_pointer(void)
{
    struct outcome got = run_ring0(read_no_directory);
    check_trap("absent in the first level", got, PF, 0, read_no_directory_at);
    check("  cr2", NO_POINTER, got.cr2);
}

static void expect_reserved(const char *name)
{
    struct outcome got = perform(READ, false);
    check_trap(name, got, PF, ANY, access_eip(READ));
    check("  error code", ERROR_RESERVED, got.frame.error & ~ERROR_PRESENT);
    if (got.frame.error & ERROR_PRESENT)
        check("  it is called present", ERROR_PRESENT, got.frame.error & ERROR_PRESENT);
    else
        skip("  it is called present", "this processor does not");
}

static void reserved_bits(void)
{
    set_entries(P | W, P | W | 1ull << 51);
    expect_reserved("a frame address beyond all memory");
    set_large(P | W | 1 << 13);
    expect_reserved("reserved bit 13 of a 2 MB page");
    if (!has_no_execute())
        return;
    set_no_execute(false);
    set_entries(P | W, P | W | NX);
    expect_reserved("bit 63 without EFER.NXE");
    set_no_execute(true);
    check("bit 63 with it: reading is allowed", NO_TRAP, perform(READ, false).frame.vector);
}

/* MOV $imm, %EAX: two bytes on a page of code, three on one that must not be executed. */
static void code_into_data(void)
{
    static const uint8_t code[] = {0xB8, 0x78};
    if (!has_no_execute())
        return;
    memcpy((void *)(TARGET_FRAME + PAGE - 2), code, sizeof code);
    set_entries(P | W | U, P | U);
    target_pte()[1] = OTHER_FRAME | P | U | NX;
    write_cr3((uint32_t)pointers);
    struct outcome got = run_ring3(run_over, 0);
    check_trap("instruction, second page no-execute", got, PF, ERROR_FETCH | ERROR_USER | ERROR_PRESENT,
               (char *)(NEXT_PAGE - 2));
    check("  cr2 is the second page", NEXT_PAGE, got.cr2);
}

void translation(void)
{
    frames();
    absent_pointer();
    reserved_bits();
    code_into_data();
}
