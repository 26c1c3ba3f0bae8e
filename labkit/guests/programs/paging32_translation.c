/* Where addresses lead, and when a changed entry counts: after INVLPG, a load of CR3, a change of CR0.PG. */
#include "paging32.h"

#define WORD_AT(address) (*(volatile uint32_t *)(address))

static void frames(void)
{
    set_entries(P | W, P | W);
    WORD_AT(TARGET_WORD) = 0x1111;
    check("a 4 KB page leads to its frame", 0x1111, WORD_AT(TARGET_FRAME + 0x80));
    write_cr4(read_cr4() | CR4_PSE);
    set_large(P | W);
    WORD_AT(TARGET_WORD) = 0x2222;
    check("a 4 MB page leads to its frame", 0x2222, WORD_AT(TARGET_FRAME + 0x80));
    WORD_AT((TARGET_PAGE & 0xFFC00000) + OTHER_FRAME % 0x400000) = 0x3333;
    check("also far from its start", 0x3333, WORD_AT(OTHER_FRAME));
    write_cr4(read_cr4() & ~(uint32_t)CR4_PSE);
    *target_pte() = TARGET_FRAME | P | W;
    *target_pde() = (uint32_t)target_table | PS | P | W;
    write_cr3((uint32_t)directory);
    check("without CR4.PSE bit 7 means nothing", 0x2222, WORD_AT(TARGET_WORD));
    write_cr4(read_cr4() | CR4_PSE);
}

/* A bit that must be 0: the entry is there, but cannot be used. */
static void reserved_bits(void)
{
    set_large(P | W | 1 << 21);
    struct outcome got = perform(READ, false);
    check_trap("reserved bit 21 of a 4 MB page", got, PF, ANY, access_eip(READ));
    check("  error code", ERROR_RESERVED, got.frame.error & ~ERROR_PRESENT);
    got = perform(WRITE, true);
    check("  a write from ring 3", ERROR_RESERVED | ERROR_WRITE | ERROR_USER,
          got.frame.error & ~ERROR_PRESENT);
    if (got.frame.error & ERROR_PRESENT)
        check("  it is called present", ERROR_PRESENT, got.frame.error & ERROR_PRESENT);
    else
        skip("  it is called present", "this processor does not");
}

/* A value of the other frame shows that the new entry is in use. */
static void changed_entries(void)
{
    WORD_AT(TARGET_FRAME + 0x80) = 1;
    WORD_AT(OTHER_FRAME + 0x80) = 2;
    set_entries(P | W, P | W);
    check("first frame", 1, WORD_AT(TARGET_WORD));
    *target_pte() = OTHER_FRAME | P | W;
    invlpg(TARGET_PAGE + 0xABC);
    check("after invlpg the other frame", 2, WORD_AT(TARGET_WORD));
    *target_pte() = TARGET_FRAME | P | W;
    write_cr3(read_cr3());
    check("after a load of cr3 the first again", 1, WORD_AT(TARGET_WORD));
    *target_pte() = OTHER_FRAME | P | W;
    write_cr0(read_cr0() & ~CR0_PG);
    write_cr0(read_cr0() | CR0_PG);
    check("after paging off and on the other", 2, WORD_AT(TARGET_WORD));
    set_large(P | W);
    check("a 4 MB page", 1, WORD_AT(TARGET_WORD));
    *target_pde() = (uint32_t)target_table | P | W;
    invlpg(TARGET_PAGE + 0x20000);
    check("after invlpg anywhere in it, a table", 2, WORD_AT(TARGET_WORD));
}

/* The processor does not remember that a page was absent: no INVLPG when one appears. */
static void appearing_page(void)
{
    set_entries(P | W | U, 0);
    check("absent", PF, perform(READ, true).frame.vector);
    *target_pte() = TARGET_FRAME | P | U;
    check("present, without invlpg", NO_TRAP, perform(READ, true).frame.vector);
}

static void dirty_after_read(void)
{
    set_entries(P | W, P | W);
    perform(READ, false);
    check("read: accessed", P | W | A, *target_pte() & 0xFFF);
    perform(WRITE, false);
    check("then write: dirty too", P | W | A | D, *target_pte() & 0xFFF);
    *target_pte() &= ~(A | D);
    invlpg(TARGET_PAGE);
    perform(READ, false);
    check("cleared, invlpg, read: accessed again", P | W | A, *target_pte() & 0xFFF);
}

static void write_protect_at_once(void)
{
    set_write_protect(false);
    set_entries(P | W, P);
    check("WP 0: ring 0 writes to a read-only page", NO_TRAP, perform(WRITE, false).frame.vector);
    check("  which makes it dirty", P | A | D, *target_pte() & 0xFFF);
    set_write_protect(true);
    check("WP 1: no more, without invlpg", PF, perform(WRITE, false).frame.vector);
    set_write_protect(false);
    check("WP 0: again", NO_TRAP, perform(WRITE, false).frame.vector);
}

static void rings_share_the_tlb(void)
{
    set_entries(P | W | U, P | W);
    check("ring 0 reads a ring 0 page", NO_TRAP, perform(READ, false).frame.vector);
    check("ring 3 does not, though it is in the TLB", ERROR_USER | ERROR_PRESENT,
          perform(READ, true).frame.error);
    check("ring 0 still does", NO_TRAP, perform(READ, false).frame.vector);
}

void translation(void)
{
    frames();
    reserved_bits();
    changed_entries();
    appearing_page();
    dirty_after_read();
    write_protect_at_once();
    rings_share_the_tlb();
}
