import torch
import torch.distributed as dist

from pyg_mllc.utils.distributed import (
    gather_rows,
    mean_over_processes,
    rank_and_size,
    sum_over_processes,
)


def parts(processes, dtype):
    """Rows of each process: as many as its rank, so that the first has none."""
    rows = torch.arange(processes * 10).view(-1, 2)
    return [rows[3 * rank :][:rank].to(dtype) for rank in range(processes)]


def check(rank, processes, address):
    dist.init_process_group("gloo", f"file://{address}", rank=rank, world_size=processes)
    assert rank_and_size() == (rank, processes)
    for dtype in (torch.float, torch.double, torch.long, torch.uint8, torch.bool):
        uneven, even = parts(processes, dtype), [torch.ones(2, 3, dtype=dtype)] * processes
        for rows in (uneven, [part[:, 0] for part in uneven], even):
            gathered = gather_rows(rows[rank])
            assert gathered.dtype == dtype and torch.equal(gathered, torch.cat(rows))
    value = torch.tensor(rank + 1.0)
    assert sum_over_processes(value) == 3 and mean_over_processes(value) == 1.5
    assert value == rank + 1
    dist.destroy_process_group()


def test_processes_gather_rows_however_many_each_has_and_sum(fork_server, tmp_path):
    address = tmp_path / "rendezvous"
    processes = [fork_server.Process(target=check, args=(rank, 2, address)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0, 0]


def test_a_process_alone_keeps_what_it_has():
    rows = torch.rand(3, 2)
    assert gather_rows(rows) is rows and sum_over_processes(rows) is rows
