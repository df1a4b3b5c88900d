"""Runs a notebook and writes what its cells show: execute.py NOTEBOOK EXECUTED SECONDS."""

import queue
import sys

import nbclient
import nbformat

# The kernel says that a cell is done before the last line of its stderr is on its way.
LATE_SECONDS = 0.2


class Patient(nbclient.NotebookClient):
    """Waits for what a cell prints after its end; an error that `?` prints would be lost otherwise."""

    async def async_execute_cell(self, cell, cell_index, **options):
        cell = await super().async_execute_cell(cell, cell_index, **options)
        while cell.cell_type == "code":
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=LATE_SECONDS)
            except queue.Empty:
                break
            if message["msg_type"] == "stream":
                self.process_message(message, cell, cell_index)
        return cell


source, executed, seconds = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
folder = {"metadata": {"path": source.rpartition("/")[0] or "."}}
# Cells after one with an error are run too, so that all errors are seen.
Patient(
    notebook, timeout=int(seconds), startup_timeout=int(seconds), kernel_name="rust", allow_errors=True, resources=folder
).execute()
nbformat.write(notebook, executed)
