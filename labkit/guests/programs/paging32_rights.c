/* Who may do what: both levels must allow it. A situation is printed as PDE flags << 8 | PTE flags. */
#include "paging32.h"

#include "../kernel/format.h"

static bool write_protect;

static bool is_write(enum access access)
{
    return access == WRITE || access == MODIFY;
}

/* The rule of the manual (4.6): the error code of the fault, or none. FLAGS: those that both levels have. */
#define ALLOWED 0xFFFFFFFF
static uint32_t expected_error(enum access access, bool ring3, uint32_t flags)
{
    uint32_t error = (is_write(access) ? ERROR_WRITE : 0) | (ring3 ? ERROR_USER : 0);
    if (!(flags & P))
        return error;
    if (ring3 && !(flags & U))
        return error | ERROR_PRESENT;
    if (is_write(access) && !(flags & W) && (ring3 || write_protect))
        return error | ERROR_PRESENT;
    return ALLOWED;
}

/* An instruction that reads, then writes: where even reading is a fault, some processors report the read,
 * others foresee the write. */
static uint32_t tolerated(enum access access, bool ring3, uint32_t flags)
{
    return access == MODIFY && expected_error(READ, ring3, flags) != ALLOWED ? ERROR_WRITE : 0;
}

/* Make the access and judge how it ended. FLAGS: those that all levels have. Returns: is it allowed? */
static bool judge(struct tally *tally, uint32_t situation, enum access access, bool ring3, uint32_t flags)
{
    uint32_t error = expected_error(access, ring3, flags);
    struct outcome got = perform(access, ring3);
    if (error == ALLOWED) {
        compare(tally, situation, "success", true, went_well(access, got));
        return true;
    }
    compare(tally, situation, "vector", PF, got.frame.vector);
    compare(tally, situation, "error code", error, got.frame.error | tolerated(access, ring3, flags));
    compare(tally, situation, "cr2", access == EXECUTE ? TARGET_CODE : TARGET_WORD, got.cr2);
    compare(tally, situation, "eip", (uint32_t)access_eip(access), got.frame.eip);
    return false;
}

static void small_page(struct tally *tally, enum access access, bool ring3, uint32_t pde, uint32_t pte)
{
    uint32_t situation = pde << 8 | pte;
    set_entries(pde, pte);
    bool allowed = judge(tally, situation, access, ring3, pde & pte);
    uint32_t new_pde = *target_pde() & 0xFFF, new_pte = *target_pte() & 0xFFF;
    if (allowed) {
        compare(tally, situation, "pde afterwards", pde | A, new_pde);
        compare(tally, situation, "pte afterwards", pte | A | (is_write(access) ? D : 0), new_pte);
    } else { /* a fault may leave accessed bits, but never marks a page dirty or touches an absent entry */
        compare(tally, situation, "pde after the fault", pde, new_pde & ~(pde & P ? A : 0));
        compare(tally, situation, "pte after the fault", pte, new_pte & ~(pte & P ? A : 0));
    }
}

static void large_page(struct tally *tally, enum access access, bool ring3, uint32_t pde)
{
    set_large(pde);
    bool allowed = judge(tally, pde, access, ring3, pde);
    uint32_t new_pde = *target_pde() & 0xFFF;
    if (allowed)
        compare(tally, pde, "pde afterwards", pde | PS | A | (is_write(access) ? D : 0), new_pde);
    else
        compare(tally, pde, "pde after the fault", pde | PS, new_pde & ~(pde & P ? A : 0));
}

static void group(enum access access, bool ring3, bool large)
{
    struct tally tally = {access_names[access], 0};
    for (uint32_t pde = 0; pde < 8; pde++) {
        if (large)
            large_page(&tally, access, ring3, pde);
        for (uint32_t pte = 0; pte < 8 && !large; pte++)
            small_page(&tally, access, ring3, pde, pte);
    }
    char name[80] = {0};
    struct text text = {name, sizeof name - 1, 0};
    text_add(&text, "%s page, %s, ring %u, WP %u", large ? "4 MB" : "4 KB", access_names[access],
             ring3 ? 3 : 0, write_protect);
    check(name, 0, tally.wrong); /* situations */
}

void rights(void)
{
    for (uint32_t large = 0; large < 2; large++) {
        write_cr4(large ? read_cr4() | CR4_PSE : read_cr4() & ~(uint32_t)CR4_PSE);
        for (uint32_t wp = 0; wp < 2; wp++) {
            set_write_protect(write_protect = wp);
            for (enum access access = READ; access < ACCESSES; access++) {
                group(access, false, large);
                group(access, true, large);
            }
        }
    }
}
