/* Start-up, in the order in which things can be had: console, memory, traps, timer, programs. */
#include <stddef.h>

#include "console.h"
#include "frames.h"
#include "layout.h"
#include "multiboot.h"
#include "paging.h"
#include "pic.h"
#include "pit.h"
#include "process.h"
#include "report.h"
#include "segments.h"
#include "syscall.h"
#include "trap.h"
#include "x86.h"

#define FIRST_MB 0x100000
#define MEMORY_IF_UNKNOWN (16u << 20)

extern char kernel_end[]; /* kernel.ld */

static uint32_t memory_size(const struct multiboot_info *info)
{
    if (!info || !(info->flags & MULTIBOOT_HAS_MEMORY))
        return MEMORY_IF_UNKNOWN;
    if (info->mem_upper >= (MAX_MEMORY - FIRST_MB) / 1024)
        return MAX_MEMORY;
    return FIRST_MB + info->mem_upper * 1024;
}

/* The loader's structures lie in the first 4 MB, all that is mapped now, or are ignored. */
static const void *loader_pointer(uint32_t physical)
{
    return physical && physical < 0x400000 - PAGE_SIZE ? direct_map(physical) : NULL;
}

static void keep_command_line(const struct multiboot_info *info)
{
    if (info && (info->flags & MULTIBOOT_HAS_COMMAND_LINE)) {
        const char *text = loader_pointer(info->command_line);
        report_set_command_line(text ? text : "");
    }
}

void kernel_main(uint32_t magic, uint32_t info_address)
{
    const struct multiboot_info *info =
        magic == MULTIBOOT_BOOTLOADER_MAGIC ? loader_pointer(info_address) : NULL;
    uint32_t memory = memory_size(info);

    pic_init();
    console_init();
    print("labkit teaching kernel\n");
    if (!info)
        print("no multiboot information: assuming little memory\n");
    keep_command_line(info);

    frames_init(memory, (physical_of(kernel_end) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1u));
    paging_init(memory);
    print("paging on, %u MB of memory\n", (memory + (1u << 19)) >> 20); /* the BIOS keeps a few KB: round */

    segments_init();
    idt_init();
    bool fast = has_sysenter();
    if (fast)
        sysenter_init();
    print("system calls by INT 80h%s\n", fast ? " and SYSENTER" : ", no SYSENTER");

    pit_init();
    print("timer %u Hz\n", TIMER_HZ);

    process_init();
    print("user mode\n");
    process_start_first("sh");
}
