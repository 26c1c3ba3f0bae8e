/* The shell: reads a line, runs it, asks for the next. Several commands in a line are separated by ';'. */
#include "user.h"

#include "arithmetic.h"

#define LINE_SIZE 128

struct command {
    const char *name, *help;
    void (*run)(const char *arguments);
};

static char big_buffer[8192];

static void show(int which)
{
    write(big_buffer, (size_t)report(which, big_buffer, sizeof big_buffer));
}

static void run_ps(const char *arguments)
{
    (void)arguments;
    show(REPORT_PROCESSES);
}

static void run_mem(const char *arguments)
{
    (void)arguments;
    show(REPORT_MEMORY);
}

static void run_page_table(const char *arguments)
{
    (void)arguments;
    show(REPORT_PAGE_TABLE);
}

static void run_uptime(const char *arguments)
{
    (void)arguments;
    uint32_t ms = uptime();
    print("up %u.%02u s\n", ms / 1000, ms / 10 % 100);
}

static void run_echo(const char *arguments)
{
    print("%s\n", arguments);
}

static void run_expr(const char *arguments)
{
    int value;
    if (arithmetic(&arguments, &value) && !*arguments)
        print("%d\n", value);
    else
        print("expr: not an expression\n");
}

static void run_kill(const char *arguments)
{
    if (kill((int)number(arguments, 0)) < 0)
        print("kill: no such process, or the shell\n");
}

static void run_sleep(const char *arguments)
{
    sleep(number(arguments, 1000));
}

static void run_halt(const char *arguments)
{
    (void)arguments;
    halt();
}

static void run_help(const char *arguments);

static const struct command commands[] = {
    {"help", "this list", run_help},
    {"ps", "processes", run_ps},
    {"mem", "memory and page faults", run_mem},
    {"pt", "the shell's page table (also: pagetable)", run_page_table},
    {"pagetable", NULL, run_page_table},
    {"uptime", "time since boot", run_uptime},
    {"echo", "print; $((6*7)) is computed", run_echo},
    {"expr", "compute: expr 6 * 7", run_expr},
    {"sleep", "wait N milliseconds", run_sleep},
    {"kill", "end process N", run_kill},
    {"halt", "stop the machine", run_halt},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static void run_help(const char *arguments)
{
    (void)arguments;
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            print("%-8s %s\n", commands[i].name, commands[i].help);
    print("programs (& behind one: in the background; Ctrl-C ends one):");
    show(REPORT_PROGRAMS);
}

/* $((...)) becomes its value, everything else stays. */
static bool expand(const char *from, char *to)
{
    char *end = to + LINE_SIZE - 12;
    while (*from && to < end) {
        if (from[0] != '$' || from[1] != '(' || from[2] != '(') {
            *to++ = *from++;
            continue;
        }
        int value;
        from += 3;
        if (!arithmetic(&from, &value) || from[0] != ')' || from[1] != ')')
            return false;
        from += 2;
        char digits[12], *d = digits + sizeof digits;
        uint32_t rest = value < 0 ? -(uint32_t)value : (uint32_t)value;
        do
            *--d = (char)('0' + rest % 10);
        while (rest /= 10);
        if (value < 0)
            *to++ = '-';
        while (d < digits + sizeof digits)
            *to++ = *d++;
    }
    *to = 0;
    return true;
}

static void run_program(const char *name, const char *arguments, bool background)
{
    int pid = fork(), status = 0;
    if (pid == 0) {
        if (background)
            detach();
        exec(name, arguments);
        print("%s: unknown command, try help\n", name);
        exit(127);
    }
    if (pid < 0)
        print("fork failed: too many processes, or no memory\n");
    else if (background)
        print("[%d]\n", pid);
    else
        wait(pid, &status, true);
}

static void run_command(char *text)
{
    char line[LINE_SIZE];
    if (!expand(text, line)) {
        print("arithmetic: not an expression\n");
        return;
    }
    char *name = line;
    while (*name == ' ')
        name++;
    size_t length = string_length(name);
    while (length && name[length - 1] == ' ')
        name[--length] = 0;
    bool background = length && name[length - 1] == '&';
    while (background && length && (name[length - 1] == '&' || name[length - 1] == ' '))
        name[--length] = 0;
    char *arguments = name;
    while (*arguments && *arguments != ' ')
        arguments++;
    while (*arguments == ' ')
        *arguments++ = 0;
    for (size_t i = 0; i < COMMANDS; i++)
        if (string_equal(name, commands[i].name)) {
            commands[i].run(arguments);
            return;
        }
    if (*name)
        run_program(name, arguments, background);
}

static void run_line(char *line)
{
    while (*line) {
        char *end = line;
        while (*end && *end != ';')
            end++;
        bool more = *end == ';';
        *end = 0;
        run_command(line);
        line = end + more;
    }
}

static void tell_of_ended(void)
{
    int status, pid;
    while ((pid = wait(0, &status, false)) > 0)
        print("[%d] ended, status %d\n", pid, status);
}

/* The boot loader may pass a first line: everything behind "run=". */
static void run_boot_line(char *line)
{
    line[report(REPORT_COMMAND_LINE, line, LINE_SIZE - 1)] = 0;
    for (; *line; line++)
        if (line[0] == 'r' && line[1] == 'u' && line[2] == 'n' && line[3] == '=') {
            run_line(line + 4);
            return;
        }
}

int main(const char *arguments)
{
    char line[LINE_SIZE];
    (void)arguments;
    run_boot_line(line);
    for (;;) {
        tell_of_ended();
        write("$ ", 2);
        int n = read(line, sizeof line - 1);
        if (n > 0 && line[n - 1] == '\n')
            n--;
        line[n] = 0;
        run_line(line);
    }
}
