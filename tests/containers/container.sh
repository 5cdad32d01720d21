# sh container.sh FOLDER COMMAND...: runs a command as in a container, with namespaces alone.
# 64 MB of /dev/shm, a read-only root, no network, a user without a name and without a home;
# FOLDER, where the command starts, is all that can be written.
set -e
folder=$1
shift
mount --make-rprivate /
mount --bind "$folder" "$folder"
mount -t tmpfs -o size=64m tmpfs /dev/shm
mount -o remount,bind,ro /
cd "$folder"
exec unshare --user --map-user=12345 --map-group=12345 env -i "PATH=$PATH" "PYTHONPATH=$PYTHONPATH" \
    LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 OMP_NUM_THREADS=1 \
    http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "$@"
