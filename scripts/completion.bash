# Completes commands, options and feature names of criu. They come from "criu --help", so they are those of the program
# that is installed.

_criu()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local program=${COMP_WORDS[0]} help

	# "=" ends a word of the line: OLD, "=", NEW.
	[[ ${COMP_WORDS[COMP_CWORD - 3]-} == --path-map && $prev == = ]] && prev=--path-map
	[[ ${COMP_WORDS[COMP_CWORD - 2]-} == --path-map && $cur == = ]] && prev=--path-map cur=
	help=$("$program" --help 2>/dev/null) || return
	case $prev in
	-D | --images-dir | -W | --work-dir | --prev-images-dir | -L | --libdir | --cgroup-yard | --irmap-scan-path | -r | --root)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	-o | --log-file | --pidfile | --config | --action-script)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--file-policy)
		compopt -o filenames -o nospace
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--path-map)
		compopt -o filenames -o nospace
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	-t | --tree)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur")
		return
		;;
	--feature)
		mapfile -t COMPREPLY < <(compgen -W "$(sed '1,/^Names for check/d' <<<"$help")" -- "$cur")
		return
		;;
	cpuinfo)
		mapfile -t COMPREPLY < <(compgen -W "dump check" -- "$cur")
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(sed -n 's/^  \(-.|\)\{0,1\}--\(\[no-\]\)\{0,1\}\([a-z-]*\).*/--\3/p' <<<"$help")" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -W "$(sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' <<<"$help")" -- "$cur")
	fi
}

complete -F _criu criu
