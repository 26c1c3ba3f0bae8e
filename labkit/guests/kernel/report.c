/* What the kernel tells about itself, as text: the shell's ps, mem and pt. */
#include "report.h"

#include "format.h"
#include "frames.h"
#include "memory.h"
#include "page_fault.h"
#include "paging.h"
#include "process.h"
#include "programs.h"
#include "scheduler.h"
#include "syscall_numbers.h"

static char command_line[128];

void report_set_command_line(const char *text)
{
    string_copy(command_line, text, sizeof command_line);
}

static void report_processes(struct text *out)
{
    static const char *const states[] = {"free", "ready", "waiting", "zombie"};
    text_add(out, "pid parent state    ticks faults cr3      name\n");
    for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
        if (p->state != FREE)
            text_add(out, "%3u %6u %-7s %6u %6u %08x %s%s\n", p->pid, p->parent,
                     p == current ? "running" : states[p->state], p->ticks, p->faults, p->directory, p->name,
                     p->background ? " &" : "");
}

static void report_memory(struct text *out)
{
    uint32_t total = frames_total(), free = frames_free();
    text_add(out, "frames of 4 KB: %u, in use %u, free %u\n", total, total - free, free);
    text_add(out, "page faults: %u demand zero, %u copy on write, %u killed\n", fault_counts.demand_zero,
             fault_counts.copy_on_write, fault_counts.killed);
    text_add(out, "context switches: %u\n", context_switches);
}

/* A run: neighbouring pages that lie in neighbouring frames and have the same rights. */
struct run {
    uint32_t linear, frame, flags, pages;
};

static void report_run(struct text *out, const struct run *run)
{
    uint32_t f = run->flags;
    if (run->pages)
        text_add(out, "%08x  %08x  %6u  %c%c%c%c %s\n", run->linear, run->frame, run->pages,
                 f & PTE_USER ? 'U' : '-', f & PTE_WRITABLE ? 'W' : '-', f & PTE_ACCESSED ? 'A' : '-',
                 f & PTE_DIRTY ? 'D' : '-',
                 f & PTE_COPY_ON_WRITE ? "copy on write" : f & PTE_SHARED ? "shared" : "");
}

static void add_page(struct text *out, struct run *run, uint32_t linear, entry_t pte)
{
    uint32_t flags = pte & PTE_FLAGS, frame = pte & ~PTE_FLAGS;
    if (linear >= KERNEL_BASE)
        flags &= ~(uint32_t)(PTE_ACCESSED | PTE_DIRTY); /* else the direct map falls into a hundred runs */
    if (run->pages && frame == run->frame + run->pages * PAGE_SIZE && flags == run->flags &&
        linear == run->linear + run->pages * PAGE_SIZE) {
        run->pages++;
        return;
    }
    report_run(out, run);
    *run = (struct run){linear, frame, flags, 1};
}

static void report_page_table(struct text *out)
{
    const entry_t *directory = direct_map(current->directory);
    struct run run = {0};
    text_add(out, "page directory at %08x (CR3)\nlinear    physical   pages  rights\n", current->directory);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!(directory[i] & PTE_PRESENT))
            continue;
        const entry_t *table = direct_map(directory[i] & ~PTE_FLAGS);
        for (uint32_t j = 0; j < ENTRIES; j++)
            if (table[j] & PTE_PRESENT)
                add_page(out, &run, i << 22 | j << 12, table[j]);
    }
    report_run(out, &run);
}

static void report_programs(struct text *out)
{
    for (const struct program_file *file = program_files; file->name; file++)
        text_add(out, " %s", file->name);
    text_add(out, "\n");
}

size_t report(uint32_t which, char *buffer, size_t size)
{
    struct text out = {buffer, size, 0};
    if (which == REPORT_PROCESSES)
        report_processes(&out);
    else if (which == REPORT_MEMORY)
        report_memory(&out);
    else if (which == REPORT_PAGE_TABLE)
        report_page_table(&out);
    else if (which == REPORT_COMMAND_LINE)
        text_add(&out, "%s", command_line);
    else if (which == REPORT_PROGRAMS)
        report_programs(&out);
    return out.length;
}
