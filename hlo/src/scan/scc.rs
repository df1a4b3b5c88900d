//! Strongly connected components of a graph of indices.

/// Strongly connected components, each after the components it depends on (Tarjan 1972). `before[n]` lists the dependencies of `n`;
/// members of a component are in ascending order.
pub(crate) fn strongly_connected(before: &[Vec<usize>]) -> Vec<Vec<usize>> {
    struct Search<'a> {
        before: &'a [Vec<usize>],
        order: Vec<Option<usize>>,
        low: Vec<usize>,
        stack: Vec<usize>,
        on_stack: Vec<bool>,
        next: usize,
        found: Vec<Vec<usize>>,
    }
    impl Search<'_> {
        fn visit(&mut self, root: usize) {
            // An explicit stack of (node, next edge), because bodies can be deeper than the call stack.
            let mut path = vec![(root, 0)];
            self.enter(root);
            while let Some((node, edge)) = path.last_mut() {
                let node = *node;
                if let Some(&to) = self.before[node].get(*edge) {
                    *edge += 1;
                    match self.order[to] {
                        None => {
                            self.enter(to);
                            path.push((to, 0));
                        }
                        Some(seen) if self.on_stack[to] => self.low[node] = self.low[node].min(seen),
                        Some(_) => {}
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    self.low[parent] = self.low[parent].min(self.low[node]);
                }
                if Some(self.low[node]) == self.order[node] {
                    self.close(node);
                }
            }
        }
        fn enter(&mut self, node: usize) {
            self.order[node] = Some(self.next);
            self.low[node] = self.next;
            self.next += 1;
            self.stack.push(node);
            self.on_stack[node] = true;
        }
        fn close(&mut self, node: usize) {
            let at = self.stack.iter().position(|&n| n == node).expect("a component's root is on the stack");
            let mut members = self.stack.split_off(at);
            members.iter().for_each(|&n| self.on_stack[n] = false);
            members.sort_unstable();
            self.found.push(members);
        }
    }
    let n = before.len();
    let mut search = Search {
        before,
        order: vec![None; n],
        low: vec![0; n],
        stack: Vec::new(),
        on_stack: vec![false; n],
        next: 0,
        found: Vec::new(),
    };
    for node in 0..n {
        if search.order[node].is_none() {
            search.visit(node);
        }
    }
    search.found
}
