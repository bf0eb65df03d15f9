/* Stands between a program and its state files: keeps a diary of what it writes and syncs, and
 * makes writing fail on command. Loaded by LD_PRELOAD; touches no other file and no socket.
 *
 * DISK_STATE    the database; its -wal and -journal belong to it
 * DISK_DIARY    where the diary goes; not set: none is kept
 * DISK_TROUBLE  a file whose first letter is the trouble: F no space, E every write and sync
 *               fails, R reads fail too; missing or empty: none
 *
 * One entry: op, file (0 database, 1 -wal, 2 -journal, 3 their directory), 6 bytes nothing,
 * offset (8), length (8), then the bytes of a write.
 * A write stands in the diary before it is made, a sync after it is done: whoever is killed in
 * between has promised nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITE = 'w', SYNC = 's', CUT = 'c', UNLINK = 'u' };

static int file_of_path(const char *path) {
    const char *state = getenv("DISK_STATE");
    size_t length = state ? strlen(state) : 0;
    const char *slash = length ? strrchr(state, '/') : NULL;
    if (slash && strlen(path) == (size_t)(slash - state) && !strncmp(path, state, slash - state)) return 3;
    if (!length || strncmp(path, state, length)) return -1;
    path += length;
    if (!*path || !strcmp(path, " (deleted)")) return 0;
    if (!strncmp(path, "-wal", 4)) return 1;
    if (!strncmp(path, "-journal", 8)) return 2;
    return -1;
}

static int file_of(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return -1;
    path[length] = 0;
    return file_of_path(path);
}

static char trouble(void) {
    const char *name = getenv("DISK_TROUBLE");
    int fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0) : -1;
    char first = 0;
    if (fd < 0) return 0;
    if (syscall(SYS_read, fd, &first, 1) != 1) first = 0;
    syscall(SYS_close, fd);
    return first;
}

/* One write of the whole entry to a file opened for appending: entries never mix. */
static void note(char op, int file, uint64_t offset, const void *bytes, uint64_t length) {
    const char *name = getenv("DISK_DIARY");
    if (!name) return;
    size_t size = 24 + (op == WRITE ? length : 0);
    char *entry = calloc(1, size);
    int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!entry || fd < 0) abort();
    entry[0] = op;
    entry[1] = file;
    memcpy(entry + 8, &offset, 8);
    memcpy(entry + 16, &length, 8);
    if (op == WRITE) memcpy(entry + 24, bytes, length);
    if (syscall(SYS_write, fd, entry, size) != (long)size) abort();
    syscall(SYS_close, fd);
    free(entry);
}

static int fails(int error) {
    errno = error;
    return -1;
}

static ssize_t put(int fd, const void *bytes, size_t length, off_t offset, int whole) {
    int file = file_of(fd);
    if (file >= 0) {
        char now = trouble();
        if (now == 'F') return fails(ENOSPC);
        if (now == 'E' || now == 'R') return fails(EIO);
        note(WRITE, file, whole ? (uint64_t)lseek(fd, 0, SEEK_CUR) : (uint64_t)offset, bytes, length);
    }
    return whole ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) { return put(fd, bytes, length, 0, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return put(fd, bytes, length, at, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return put(fd, bytes, length, at, 0); }

static ssize_t get(int fd, void *bytes, size_t length, off_t offset, int whole) {
    if (trouble() == 'R' && file_of(fd) >= 0) return fails(EIO);
    return whole ? syscall(SYS_read, fd, bytes, length) : syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t read(int fd, void *bytes, size_t length) { return get(fd, bytes, length, 0, 1); }
ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return get(fd, bytes, length, at, 0); }
ssize_t pread64(int fd, void *bytes, size_t length, off_t at) { return get(fd, bytes, length, at, 0); }

static int synced(int fd, int call) {
    int file = file_of(fd);
    char now = file >= 0 ? trouble() : 0;
    if (now == 'E' || now == 'R') return fails(EIO);
    int result = syscall(call, fd);
    if (file >= 0 && result == 0) note(SYNC, file, 0, NULL, 0);
    return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int cut(int fd, off_t length) {
    int file = file_of(fd);
    if (file >= 0) {
        char now = trouble();
        if (now == 'E' || now == 'R') return fails(EIO);
        note(CUT, file, 0, NULL, length);
    }
    return syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }

int unlink(const char *path) {
    int file = file_of_path(path);
    if (file >= 0) note(UNLINK, file, 0, NULL, 0);
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rename(const char *from, const char *to) {
    int file = file_of_path(from);
    if (file >= 0) note(UNLINK, file, 0, NULL, 0);
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
