/* Let one call to the C library fail, where it touches files below a folder; see faults.py.
 *
 * Preloaded into a process. `faults_arm` names a folder, a call, which of its occurrences fails, and how: an errno, or
 * SHORT, with which it does half of what was asked for. The call that fails is written to a descriptor, with the path
 * that it touched; without a name of a call, every call below the folder is, and none fails.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHORT (-1)

static char folder[PATH_MAX], armed[32];
static size_t folder_length;
static int fault;
static long occurrence;
static atomic_long seen;
static int log_descriptor = -1;

void faults_arm(const char *root, const char *call, long number, int how, int descriptor) {
    snprintf(folder, sizeof folder, "%s", root);
    folder_length = strlen(folder);
    snprintf(armed, sizeof armed, "%s", call);
    occurrence = number;
    fault = how;
    log_descriptor = descriptor;
    atomic_store(&seen, 0);
}

/* The path behind a descriptor, "" for none. */
static void path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_at(int base, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    if (base != AT_FDCWD)
        path_of(base, path);
    else if (syscall(SYS_getcwd, path, PATH_MAX - 1) < 0)
        path[0] = 0;
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
}

/* 0 for a call that goes on as always, else the errno or SHORT. */
static int meets(const char *call, const char *path) {
    int saved = errno, found = 0;
    if (folder_length && !strncmp(path, folder, folder_length) && path[folder_length] == '/') {
        if (armed[0] && !strcmp(call, armed) && atomic_fetch_add(&seen, 1) + 1 == occurrence)
            found = fault;
        if (!armed[0] || found) {
            char line[PATH_MAX + 64];
            int length = snprintf(line, sizeof line, "%s\t%s\n", call, path + folder_length + 1);
            syscall(SYS_write, log_descriptor, line, length);
        }
    }
    errno = saved;
    return found;
}

static int meets_fd(const char *call, int descriptor) {
    char path[PATH_MAX];
    if (!folder_length)
        return 0;
    int saved = errno;
    path_of(descriptor, path);
    errno = saved;
    return meets(call, path);
}

static int meets_at(const char *call, int base, const char *name) {
    char path[PATH_MAX];
    if (!folder_length || !name)
        return 0;
    int saved = errno;
    path_at(base, name, path);
    errno = saved;
    return meets(call, path);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define FAIL(how, value) \
    if (how > 0) { errno = how; return value; }

/* An int with a descriptor first. */
#define ON_DESCRIPTOR(type, name, call, parameters, arguments, ...) \
    type name parameters { \
        REAL(type, #name, __VA_ARGS__); \
        int how = meets_fd(call, descriptor); \
        FAIL(how, -1) \
        return real arguments; \
    }

/* Bytes that move, and can be fewer than asked for. */
#define MOVES(name, call, parameters, whole, part, ...) \
    ssize_t name parameters { \
        REAL(ssize_t, #name, __VA_ARGS__); \
        int how = meets_fd(call, descriptor); \
        FAIL(how, -1) \
        if (how == SHORT && count > 1) return real part; \
        return real whole; \
    }
#define HALF ((count + 1) / 2)

MOVES(read, "read", (int descriptor, void *buffer, size_t count), (descriptor, buffer, count), (descriptor, buffer, HALF),
      int, void *, size_t)
MOVES(write, "write", (int descriptor, const void *buffer, size_t count), (descriptor, buffer, count),
      (descriptor, buffer, HALF), int, const void *, size_t)
MOVES(pread64, "pread", (int descriptor, void *buffer, size_t count, off64_t at), (descriptor, buffer, count, at),
      (descriptor, buffer, HALF, at), int, void *, size_t, off64_t)
MOVES(pwrite64, "pwrite", (int descriptor, const void *buffer, size_t count, off64_t at), (descriptor, buffer, count, at),
      (descriptor, buffer, HALF, at), int, const void *, size_t, off64_t)
MOVES(sendfile64, "sendfile", (int descriptor, int from, off64_t *at, size_t count), (descriptor, from, at, count),
      (descriptor, from, at, HALF), int, int, off64_t *, size_t)

/* The source is the first descriptor, and the target decides: both lie in the folder, or neither. */
ssize_t copy_file_range(int from, off64_t *at, int descriptor, off64_t *to, size_t count, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    int how = meets_fd("copy_file_range", descriptor);
    FAIL(how, -1)
    return real(from, at, descriptor, to, how == SHORT && count > 1 ? HALF : count, flags);
}

/* Half of the first buffer. CPython calls the second where it is there. */
#define MOVES_VECTOR(name, parameters, whole, part, ...) \
    ssize_t name parameters { \
        REAL(ssize_t, #name, __VA_ARGS__); \
        int how = meets_fd("pread", descriptor); \
        FAIL(how, -1) \
        struct iovec first = {buffers[0].iov_base, (buffers[0].iov_len + 1) / 2}; \
        if (how == SHORT) return real part; \
        return real whole; \
    }

MOVES_VECTOR(preadv64, (int descriptor, const struct iovec *buffers, int number, off64_t at),
             (descriptor, buffers, number, at), (descriptor, &first, 1, at), int, const struct iovec *, int, off64_t)
MOVES_VECTOR(preadv64v2, (int descriptor, const struct iovec *buffers, int number, off64_t at, int flags),
             (descriptor, buffers, number, at, flags), (descriptor, &first, 1, at, flags),
             int, const struct iovec *, int, off64_t, int)

ON_DESCRIPTOR(int, fsync, "fsync", (int descriptor), (descriptor), int)
ON_DESCRIPTOR(int, fdatasync, "fsync", (int descriptor), (descriptor), int)
ON_DESCRIPTOR(int, ftruncate64, "ftruncate", (int descriptor, off64_t size), (descriptor, size), int, off64_t)
ON_DESCRIPTOR(int, fchmod, "chmod", (int descriptor, mode_t mode), (descriptor, mode), int, mode_t)
ON_DESCRIPTOR(int, flock, "flock", (int descriptor, int operation), (descriptor, operation), int, int)
ON_DESCRIPTOR(off64_t, lseek64, "lseek", (int descriptor, off64_t at, int whence), (descriptor, at, whence), int, off64_t, int)
ON_DESCRIPTOR(int, fstat64, "fstat", (int descriptor, struct stat64 *found), (descriptor, found), int, struct stat64 *)

/* posix_fadvise and posix_fallocate give the errno and do not set it. */
int posix_fadvise64(int descriptor, off64_t at, off64_t length, int advice) {
    REAL(int, "posix_fadvise64", int, off64_t, off64_t, int);
    int how = meets_fd("fadvise", descriptor);
    return how > 0 ? how : real(descriptor, at, length, advice);
}

/* The descriptor is gone, as on Linux, and the error comes all the same. */
int close(int descriptor) {
    REAL(int, "close", int);
    int how = meets_fd("close", descriptor), result = real(descriptor);
    FAIL(how, -1)
    return result;
}

void *mmap64(void *address, size_t length, int protection, int flags, int descriptor, off64_t at) {
    REAL(void *, "mmap64", void *, size_t, int, int, int, off64_t);
    int how = descriptor < 0 ? 0 : meets_fd("mmap", descriptor);
    FAIL(how, MAP_FAILED)
    return real(address, length, protection, flags, descriptor, at);
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open64(const char *path, int flags, ...) {
    MODE
    REAL(int, "open64", const char *, int, ...);
    int how = meets_at("open", AT_FDCWD, path);
    FAIL(how, -1)
    return real(path, flags, mode);
}

int openat64(int base, const char *path, int flags, ...) {
    MODE
    REAL(int, "openat64", int, const char *, int, ...);
    int how = meets_at("open", base, path);
    FAIL(how, -1)
    return real(base, path, flags, mode);
}

/* An int with a path in the working directory. */
#define ON_PATH(name, call, parameters, arguments, ...) \
    int name parameters { \
        REAL(int, #name, __VA_ARGS__); \
        int how = meets_at(call, AT_FDCWD, path); \
        FAIL(how, -1) \
        return real arguments; \
    }

/* An int with a path below a descriptor. */
#define ON_PATH_AT(name, call, parameters, arguments, ...) \
    int name parameters { \
        REAL(int, #name, __VA_ARGS__); \
        int how = meets_at(call, base, path); \
        FAIL(how, -1) \
        return real arguments; \
    }

ON_PATH(rename, "rename", (const char *path, const char *to), (path, to), const char *, const char *)
ON_PATH(unlink, "unlink", (const char *path), (path), const char *)
ON_PATH(rmdir, "rmdir", (const char *path), (path), const char *)
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), const char *, mode_t)
ON_PATH(chmod, "chmod", (const char *path, mode_t mode), (path, mode), const char *, mode_t)
ON_PATH(link, "link", (const char *path, const char *to), (path, to), const char *, const char *)
ON_PATH(symlink, "symlink", (const char *to, const char *path), (to, path), const char *, const char *)
ON_PATH(stat64, "stat", (const char *path, struct stat64 *found), (path, found), const char *, struct stat64 *)
ON_PATH(lstat64, "stat", (const char *path, struct stat64 *found), (path, found), const char *, struct stat64 *)
ON_PATH(access, "access", (const char *path, int mode), (path, mode), const char *, int)
ON_PATH_AT(renameat2, "rename", (int base, const char *path, int other, const char *to, unsigned flags),
           (base, path, other, to, flags), int, const char *, int, const char *, unsigned)
ON_PATH_AT(renameat, "rename", (int base, const char *path, int other, const char *to), (base, path, other, to),
           int, const char *, int, const char *)
ON_PATH_AT(faccessat, "access", (int base, const char *path, int mode, int flags), (base, path, mode, flags),
           int, const char *, int, int)
ON_PATH_AT(unlinkat, "unlink", (int base, const char *path, int flags), (base, path, flags), int, const char *, int)
ON_PATH_AT(mkdirat, "mkdir", (int base, const char *path, mode_t mode), (base, path, mode), int, const char *, mode_t)
ON_PATH_AT(fchmodat, "chmod", (int base, const char *path, mode_t mode, int flags), (base, path, mode, flags), int,
           const char *, mode_t, int)
ON_PATH_AT(linkat, "link", (int base, const char *path, int other, const char *to, int flags),
           (base, path, other, to, flags), int, const char *, int, const char *, int)
ON_PATH_AT(fstatat64, "stat", (int base, const char *path, struct stat64 *found, int flags), (base, path, found, flags),
           int, const char *, struct stat64 *, int)

ssize_t readlink(const char *path, char *found, size_t size) {
    REAL(ssize_t, "readlink", const char *, char *, size_t);
    int how = meets_at("readlink", AT_FDCWD, path);
    FAIL(how, -1)
    return real(path, found, size);
}

DIR *opendir(const char *path) {
    REAL(DIR *, "opendir", const char *);
    int how = meets_at("opendir", AT_FDCWD, path);
    FAIL(how, NULL)
    return real(path);
}

DIR *fdopendir(int descriptor) {
    REAL(DIR *, "fdopendir", int);
    int how = meets_fd("opendir", descriptor);
    FAIL(how, NULL)
    return real(descriptor);
}

struct dirent64 *readdir64(DIR *stream) {
    REAL(struct dirent64 *, "readdir64", DIR *);
    int how = meets_fd("readdir", dirfd(stream));
    FAIL(how, NULL)
    return real(stream);
}
