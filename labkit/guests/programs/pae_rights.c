/* Who may do what: every level must allow it, and none forbid execution. A situation is printed as
 * PDE flags << 8 | PTE flags, with bit 3 for no-execute.
 */
#include "pae.h"

#include "../kernel/format.h"

#define NX_IN_SITUATION 8u
#define ALLOWED 0xFFFFFFFF

static bool write_protect, no_execute;

static bool is_write(enum access access)
{
    return access == WRITE || access == MODIFY;
}

static entry_t flags_of(uint32_t situation)
{
    return (situation & (P | W | U)) | (situation & NX_IN_SITUATION ? NX : 0);
}

/* The rule of the manual (4.6, 4.7). RIGHTS: P, W, U that both levels have; FORBIDDEN: NX in one of them. */
static uint32_t expected_error(enum access access, bool ring3, uint32_t rights, bool forbidden)
{
    uint32_t error = (is_write(access) ? ERROR_WRITE : 0) | (ring3 ? ERROR_USER : 0) |
                     (access == EXECUTE && no_execute ? ERROR_FETCH : 0);
    if (!(rights & P))
        return error;
    if (ring3 && !(rights & U))
        return error | ERROR_PRESENT;
    if (is_write(access) && !(rights & W) && (ring3 || write_protect))
        return error | ERROR_PRESENT;
    if (access == EXECUTE && forbidden)
        return error | ERROR_PRESENT;
    return ALLOWED;
}

/* See paging32_rights.c. */
static uint32_t tolerated(enum access access, bool ring3, uint32_t rights)
{
    return access == MODIFY && expected_error(READ, ring3, rights, false) != ALLOWED ? ERROR_WRITE : 0;
}

static bool judge(struct tally *tally, uint32_t situation, enum access access, bool ring3, uint32_t rights,
                  bool forbidden)
{
    uint32_t error = expected_error(access, ring3, rights, forbidden);
    struct outcome got = perform(access, ring3);
    if (error == ALLOWED) {
        compare(tally, situation, "success", true, went_well(access, got));
        return true;
    }
    compare(tally, situation, "vector", PF, got.frame.vector);
    compare(tally, situation, "error code", error, got.frame.error | tolerated(access, ring3, rights));
    compare(tally, situation, "cr2", access == EXECUTE ? TARGET_CODE : TARGET_WORD, got.cr2);
    compare(tally, situation, "eip", (uint32_t)access_eip(access), got.frame.eip);
    return false;
}

static void check_bits(struct tally *tally, uint32_t situation, const char *what, entry_t before,
                       uint32_t added, bool allowed, entry_t after)
{
    uint32_t low = after & 0xFFF, old = before & 0xFFF;
    compare(tally, situation, "no-execute bit afterwards", before >> 63, after >> 63);
    if (allowed)
        compare(tally, situation, what, old | added, low);
    else
        compare(tally, situation, what, old, low & ~(old & P ? A : 0));
}

static void small_page(struct tally *tally, enum access access, bool ring3, uint32_t pde, uint32_t pte)
{
    uint32_t situation = pde << 8 | pte;
    set_entries(flags_of(pde), flags_of(pte));
    bool allowed = judge(tally, situation, access, ring3, pde & pte, (pde | pte) & NX_IN_SITUATION);
    check_bits(tally, situation, "pde afterwards", flags_of(pde), A, allowed, *target_pde() & (NX | 0xFFF));
    check_bits(tally, situation, "pte afterwards", flags_of(pte), A | (is_write(access) ? D : 0), allowed,
               *target_pte());
}

static void large_page(struct tally *tally, enum access access, bool ring3, uint32_t pde)
{
    set_large(flags_of(pde));
    bool allowed = judge(tally, pde, access, ring3, pde, pde & NX_IN_SITUATION);
    check_bits(tally, pde, "pde afterwards", flags_of(pde) | PS, A | (is_write(access) ? D : 0), allowed,
               *target_pde());
}

static void group(enum access access, bool ring3, bool large)
{
    struct tally tally = {access_names[access], 0};
    uint32_t situations = no_execute ? 16 : 8;
    for (uint32_t pde = 0; pde < situations; pde++) {
        if (large)
            large_page(&tally, access, ring3, pde);
        for (uint32_t pte = 0; pte < situations && !large; pte++)
            small_page(&tally, access, ring3, pde, pte);
    }
    char name[80] = {0};
    struct text text = {name, sizeof name - 1, 0};
    text_add(&text, "%s page, %s, ring %u, WP %u, NXE %u", large ? "2 MB" : "4 KB", access_names[access],
             ring3 ? 3 : 0, write_protect, no_execute);
    check(name, 0, tally.wrong); /* situations */
}

void rights(bool with_no_execute)
{
    no_execute = with_no_execute;
    for (uint32_t wp = 0; wp < 2; wp++) {
        write_protect = wp;
        write_cr0(wp ? read_cr0() | CR0_WP : read_cr0() & ~(uint32_t)CR0_WP);
        for (enum access access = READ; access < ACCESSES; access++)
            for (uint32_t large = 0; large < 2; large++) {
                group(access, false, large);
                group(access, true, large);
            }
    }
}
