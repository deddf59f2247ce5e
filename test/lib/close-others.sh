# close-others.sh: sourced by bash scripts whose programs are dumped. What those inherit is part of their state: a pipe
# that somebody left open to this script would be one whose other end is outside of the tree, which restores refuse.

for fd in /proc/$BASHPID/fd/*; do
	fd=${fd##*/}
	case $fd in
	0 | 1 | 2 | 255) ;; # 255: the script itself
	*) exec {fd}>&- ;;
	esac
done
unset fd
