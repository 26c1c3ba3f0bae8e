#include "support/access.h"

CODE(read_target, "", "movl 0x01123080, %eax");
CODE(write_target, "movl $0x5EED, %eax", "movl %eax, 0x01123080");
CODE(modify_target, "", "addl $1, 0x01123080");
CODE(execute_target, "movl $0x01123040, %eax", "jmp *%eax");

const char *const access_names[ACCESSES] = {"read", "write", "modify", "execute"};

extern char text_start[], text_end[]; /* program.ld */

void access_init(void)
{
    static const uint8_t int_41h[] = {0xCD, EXECUTED};
    memcpy((void *)(TARGET_FRAME + 0x40), int_41h, sizeof int_41h);
    memcpy((void *)(OTHER_FRAME + 0x40), int_41h, sizeof int_41h);
    interrupt_gate(EXECUTED, 3, true);
}

struct outcome perform(enum access access, bool ring3)
{
    const char *const code[ACCESSES] = {read_target, write_target, modify_target, execute_target};
    return ring3 ? run_ring3(code[access], 0) : run_ring0(code[access]);
}

const char *access_eip(enum access access)
{
    const char *const at[ACCESSES] = {read_target_at, write_target_at, modify_target_at, (char *)TARGET_CODE};
    return at[access];
}

bool went_well(enum access access, struct outcome got)
{
    return got.frame.vector == (access == EXECUTE ? EXECUTED : NO_TRAP);
}

void compare(struct tally *tally, uint32_t situation, const char *what, uint32_t expected, uint32_t got)
{
    if (expected == got)
        return;
    if (tally->wrong++ < 3)
        print("  %s, situation %x: %s expected %x got %x\n", tally->what, situation, what, expected, got);
}

bool ring3_needs(uint32_t address)
{
    uint32_t stack = (uint32_t)user_stack_top;
    return (address + PAGE > (uint32_t)text_start && address < (uint32_t)text_end) ||
           (address >= stack - PAGE && address < stack);
}
