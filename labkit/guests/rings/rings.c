/* rings: pages, keys, rules, and what to do when interrupted. */
#include "unit.h"

typedef unsigned u32;

extern char kernel_text[], common_text[], gate_text[], kernel_data[], kernel_end[];
extern char attempt[], work[], gate[], forbidden[], interrupted[];

char boot_stack[4096];
static char kernel_stack[4096];

/* Whoever starts this may set these, by their symbols. */
volatile u32 rounds = 20, turns = 100, work_pages = 8, kernel_pages = 4, components = 4;
__attribute__((section(".data"))) volatile u32 skip_trials = 0; /* not in .bss, which the image does not hold */

/* Keys and key registers: one for each component, 0 to 4; the page that is tried has its own. */
enum { KEY_KERNEL = 1, KEY_COMMON = 2, KEY_GATE = 3, KEY_STACK = 4, KEY_TRIED = 6, KEY_WORK = 16 };
enum { REGISTER_TRIED = 6, REGISTER_WORK = 8 };
enum { STACK = 0x300, TRIED = 0x400, KERNEL_WORK = 0x440, WORK = 0x480 }; /* page numbers; work may have 896 */
enum { PRESENT = 1, DIRTY = 2, ACCESSED = 4, GOOD = 7 };

/* The architecture's rules. Row: access rights. Column: the page's level. In it what levels 0 to 3 may do. */
static const char *const RULES[8][4] = {
    {"r--,---,---,---", "r--,r--,---,---", "r--,r--,r--,---", "r--,r--,r--,r--"},
    {"r-x,---,---,---", "r-x,r-x,---,---", "r-x,r-x,r-x,---", "r-x,r-x,r-x,r-x"},
    {"rw-,---,---,---", "rw-,rw-,---,---", "rw-,rw-,rw-,---", "rw-,rw-,rw-,rw-"},
    {"rwx,---,---,---", "rwx,rwx,---,---", "rwx,rwx,rwx,---", "rwx,rwx,rwx,rwx"},
    {"rw-,---,---,---", "rw-,r--,---,---", "rw-,rw-,r--,---", "rw-,rw-,rw-,r--"},
    {"rwx,---,---,---", "rwx,r-x,---,---", "rwx,r-x,r-x,---", "rwx,r-x,r-x,r-x"},
    {"rw-,---,---,---", "rw-,rwx,---,---", "rw-,rw-,rwx,---", "rw-,rw-,rw-,rwx"},
    {"r-x,--x,--x,--x", "r-x,--x,--x,--x", "r-x,--x,--x,--x", "r-x,--x,--x,--x"},
};

static void print(const char *text)
{
    for (; *text; text++)
        __asm__ volatile("outb %0, $0xe9" : : "a"(*text));
}

static void number(u32 value)
{
    char digits[12], *at = digits + 11;
    for (*at = 0; at == digits + 11 || value; value /= 10)
        *--at = (char)('0' + value % 10);
    print(at);
}

static void insert(u32 page, u32 frame, u32 rights, u32 level, u32 flags, u32 key)
{
    unit(OP_INSERT, page, frame, rights | level << 3 | flags << 5 | key << 8);
}

static void map(const char *from, const char *to, u32 rights, u32 level, u32 key)
{
    for (u32 page = (u32)from >> 12; page < ((u32)to + 4095) >> 12; page++)
        insert(page, page, rights, level, GOOD, key);
}

/* --- the trial: page of rights AR and level PL, key state, bits, from level G, access 1 2 4 */
static u32 ar, pl, state, bits, g, kind;
static u32 phase, tried, wrong, done;
enum { RIGHTS, BITS, MISSING, FORBIDDEN, GATE, WORKING };

static u32 expected(void)
{
    u32 bit = kind == 4 ? 2 : kind >> 1, disabled = state - 1;
    if (phase == MISSING)
        return 1;
    if (!(bits & PRESENT))
        return 2;
    if (state == 0)
        return 3;
    if (disabled & kind)
        return 4;
    if (RULES[ar][pl][4 * g + bit] == '-')
        return 5;
    if (kind == 2 && !(bits & DIRTY))
        return 6;
    return bits & ACCESSED ? 0 : 7;
}

static void key_state(void)
{
    u32 disabled = state - 1;
    u32 word = KEY_TRIED << 8 | 1 | (disabled & 1) << 2 | (disabled & 2) | (disabled & 4) << 1;
    unit(OP_WRITE_KEY, REGISTER_TRIED, state ? word : 0, 0);
}

/* The next trial of this phase, the innermost first: access, level, key state (0 missing, 1 + disabled), page. */
static int next(void)
{
    if ((kind <<= 1) <= 4)
        return 1;
    kind = 1;
    if (++g < 4)
        return 1;
    g = 0;
    if (phase == RIGHTS) {
        if (++state < 9) {
            key_state();
            return 1;
        }
        state = 0;
        if (++pl == 4)
            pl = 0, ar++;
        if (ar < 8)
            key_state();
    } else {
        bits++;
    }
    if (phase == RIGHTS ? ar == 8 : bits == 8)
        return 0;
    insert(TRIED, TRIED, ar, pl, bits, KEY_TRIED);
    return 1;
}

static u32 page_of(u32 base, u32 i) { return base + i; }

static void probes(void)
{
    for (u32 r = 0; r < 8; r++)
        for (u32 l = 0; l < 4; l++) {
            insert(TRIED, TRIED, r, l, GOOD, KEY_TRIED);
            for (u32 level = 0; level < 4; level++)
                for (u32 bit = 0; bit < 2; bit++) {
                    tried++;
                    wrong += unit(OP_PROBE, TRIED, 1u << bit, level) != (RULES[r][l][4 * level + bit] != '-');
                }
        }
}

static void begin_work(void)
{
    for (u32 i = 0; i < work_pages; i++)
        insert(page_of(WORK, i), page_of(WORK, i), 2, 3, GOOD, KEY_WORK + i % components);
    for (u32 i = 0; i < kernel_pages; i++)
        insert(page_of(KERNEL_WORK, i), page_of(KERNEL_WORK, i), 2, 0, GOOD, KEY_KERNEL);
    for (u32 i = 0; i < components; i++) /* a unit with fewer registers than that refuses the last */
        unit(OP_WRITE_KEY, REGISTER_WORK + i, (KEY_WORK + i) << 8 | 1, 0);
    print("rings: ");
    number(tried);
    print(" trials, ");
    number(wrong);
    print(" wrong\n");
}

/* What EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX were: as PUSHA leaves them. */
struct frame { u32 edi, esi, ebp, esp, ebx, edx, ecx, eax; };

static void go(struct frame *frame, const char *where, u32 level)
{
    frame->edi = phase == WORKING ? WORK << 12 : TRIED << 12;
    frame->esi = work_pages;
    frame->ecx = turns;
    frame->ebx = kind;
    unit(OP_WRITE, EIP, (u32)where, 0);
    unit(OP_WRITE, LEVEL, level, 0);
    unit(OP_WRITE, ESP, (STACK + 1) << 12, 0);
}

static void judge(int good)
{
    tried++;
    if (!good) {
        if (!wrong++) {
            print("rings: WRONG in phase ");
            number(phase);
            print(", rights level state bits g kind cause:");
            for (u32 i = 0; i < 7; i++) {
                const u32 what[7] = {ar, pl, state, bits, g, kind, unit(OP_READ, CAUSE, 0, 0)};
                print(" ");
                number(what[i]);
            }
            print("\n");
        }
    }
}

void interruption(struct frame *frame)
{
    u32 cause = unit(OP_READ, CAUSE, 0, 0), got = cause == CAUSE_CALL ? 0 : cause & 0xff;
    switch (phase) {
    case RIGHTS:
    case BITS:
    case MISSING:
        judge(got == expected() && (got == 0 || (cause >> 8 == kind && unit(OP_READ, ADDRESS, 0, 0) >> 12 == TRIED)));
        if (next()) {
            go(frame, attempt, g);
            return;
        }
        phase++;
        g = 0, kind = 1, state = 1, bits = 0, ar = 5, pl = 3;
        key_state();
        if (phase == BITS)
            insert(TRIED, TRIED, ar, pl, bits, KEY_TRIED);
        if (phase == MISSING) {
            unit(OP_PURGE, TRIED, 0, 0);
            bits = 7;
        }
        if (phase == FORBIDDEN)
            go(frame, forbidden, 3);
        else
            go(frame, attempt, g);
        return;
    case FORBIDDEN:
        judge(cause == CAUSE_PRIVILEGED && unit(OP_READ, LEVEL, 0, 0) == 3);
        phase = GATE;
        go(frame, gate, 3);
        return;
    case GATE:
        judge(cause == CAUSE_CALL && unit(OP_READ, LEVEL, 0, 0) == 0 && frame->ebx == 0);
        probes();
        phase = WORKING;
        begin_work();
        break;
    default:
        for (u32 i = 0; i < kernel_pages; i++)
            ++*(volatile u32 *)(page_of(KERNEL_WORK, i) << 12);
        if (cause != CAUSE_CALL || ++done == rounds) {
            print("rings: ");
            number(done);
            print(cause == CAUSE_CALL ? " calls, the end\n" : " calls, then a fault\n");
            unit(OP_STOP, 0, 0, 0);
        }
    }
    go(frame, work, 3 - done % 3);
}

void begin(void)
{
    map(kernel_text, common_text, 1, 0, KEY_KERNEL);
    map(common_text, gate_text, 1, 3, KEY_COMMON);
    map(gate_text, gate_text + 1, 7, 0, KEY_GATE);
    map(kernel_data, kernel_end, 2, 0, KEY_KERNEL);
    insert(STACK, STACK, 2, 3, GOOD, KEY_STACK);
    for (u32 key = KEY_KERNEL; key <= KEY_STACK; key++)
        unit(OP_WRITE_KEY, key, key << 8 | 1, 0);
    *(volatile unsigned char *)(TRIED << 12) = 0xc3; /* RET */
    unit(OP_VECTOR, (u32)interrupted, (u32)kernel_stack + sizeof kernel_stack, 0);
    unit(OP_MODE, 3, 0, 0);
    bits = GOOD, kind = 1;
    key_state();
    insert(TRIED, TRIED, ar, pl, bits, KEY_TRIED);
    struct frame first;
    if (skip_trials) {
        phase = WORKING;
        begin_work();
        go(&first, work, 3);
    } else {
        go(&first, attempt, 0);
    }
    __asm__ volatile("int $0x60"
                     :
                     : "a"(OP_RETURN), "b"(first.ebx), "c"(first.ecx), "D"(first.edi), "S"(first.esi)
                     : "memory");
}
