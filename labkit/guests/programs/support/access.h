/* One access to one linear address, of each kind and from each ring: the subject of the paging tests. */
#ifndef ACCESS_H
#define ACCESS_H

#include "support/bare.h"

#define PAGE 4096u
#define TARGET_PAGE 0x01123000u /* the page on trial: directory entry 4 (PAE: entry 8), table entry 123h */
#define NEXT_PAGE (TARGET_PAGE + PAGE)
#define TARGET_CODE (TARGET_PAGE + 0x40) /* INT 41h stands here */
#define TARGET_WORD (TARGET_PAGE + 0x80)
#define TARGET_FRAME 0x00923000u /* where it lies in physical memory; also mapped to itself, for ring 0 */
#define OTHER_FRAME 0x00A00000u
#define EXECUTED 0x41

enum access { READ, WRITE, MODIFY, EXECUTE, ACCESSES };
extern const char *const access_names[ACCESSES];

void access_init(void); /* fills both frames; paging must be off, or map them to themselves */
struct outcome perform(enum access access, bool ring3);
const char *access_eip(enum access access); /* of the instruction that makes the access */
bool went_well(enum access access, struct outcome got);

/* Counts what differs from the expectation, and prints the first few. */
struct tally {
    const char *what;
    uint32_t wrong;
};
void compare(struct tally *tally, uint32_t situation, const char *what, uint32_t expected, uint32_t got);

/* Does ring 3 need this page of the program? All others are for ring 0, the descriptor tables among them. */
bool ring3_needs(uint32_t address);

#endif
