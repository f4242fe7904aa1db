package bpf

//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3" -type verdict -type service -type class -type budget -type policy -type table -type bucket -type half_open -type sample shield shield.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3" clock clock.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3" -type reason -type leg -type device -type range forward forward.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3 -Wno-unused-parameter" -no-global-types -output-suffix _test bench shield_bench.bpf.c
//go:generate go tool bpf2go -target bpfel -cc clang -cflags "-O2 -g -Wall -Wextra -Werror -mcpu=v3" -no-global-types -output-suffix _test forwardBench forward_bench.bpf.c
